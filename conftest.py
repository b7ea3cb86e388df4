"""Which plugins make a deployment of a pytest run; nothing else belongs here."""

pytest_plugins = ("plugins.options", "plugins.run", "plugins.fixtures", "plugins.declarative", "plugins.reports")
