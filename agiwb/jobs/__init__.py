"""Jobs: runs that live in processes of their own, apart from who started them."""
