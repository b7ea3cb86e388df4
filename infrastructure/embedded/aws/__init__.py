"""The endpoint that answers the APIs of AWS that moto lacks, and runs the releases behind them."""
