"""``python -m trio_transports``, and the console script ``trio-transports``."""

import json
import os
import sys
from collections.abc import Sequence

from .cli.arguments import PROGRAM, parser
from .cli.failure import INTERRUPTED, Failure


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; give its exit code."""
    commands = parser()
    options = vars(commands.parse_args(argv))
    run = options.pop("run")
    if run is None:
        commands.print_help()
        return 0
    try:
        code: int = run(**options)
    except Failure as failure:
        print(f"{PROGRAM}: {failure}", file=sys.stderr)
        if options["as_json"]:
            print(json.dumps({"ok": False, "error": str(failure)}))
        return failure.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has enough of it; the interpreter's own last flush would complain once more.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - lives as long as the process
        return 0
    return code


if __name__ == "__main__":
    sys.exit(main())
