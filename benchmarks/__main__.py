"""`make bench`: run every benchmark, one after the other; the last failure's status is ours."""

import pkgutil
import subprocess
import sys

import benchmarks


def main() -> int:
    """Run each benchmark as the command it is; 0 when all of them ended well."""
    worst = 0
    found = pkgutil.iter_modules(benchmarks.__path__)
    for module in sorted(item.name for item in found if item.name != "__main__" and not item.ispkg):
        print(f"\n== benchmarks.{module}", flush=True)
        worst = max(worst, subprocess.run([sys.executable, "-m", f"benchmarks.{module}"], check=False).returncode)
    return worst


if __name__ == "__main__":
    sys.exit(main())
