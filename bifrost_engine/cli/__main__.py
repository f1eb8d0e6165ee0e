"""``python -m bifrost_engine.cli``: the command line without its script."""

from bifrost_engine.cli.main import main

if __name__ == "__main__":
    main()
