"""The TensorFlow Model Optimization Toolkit as another engine for what it can do."""
