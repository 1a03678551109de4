"""Forms made of configs: state apart from view, so that both are tested without a browser."""

from widgets.form.fields import FormField, fields_of
from widgets.form.state import FormState
from widgets.form.view import ConfigForm

__all__ = ["ConfigForm", "FormField", "FormState", "fields_of"]
