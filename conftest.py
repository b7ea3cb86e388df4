"""The plugins that turn a pytest run into a deployment; nothing else belongs here."""

pytest_plugins = ("plugins.framework",)
