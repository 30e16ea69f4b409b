"""``python -m compress.targets.runner VERB FOLDER ...``; ``runner.pyz`` starts here too."""

import os
import sys

# By an empty entry of PYTHONPATH the current folder stands in front of the standard library: a numpy.py there would be
# executed. -I does not help: it hides packages that only this user has. The first entry is the runner's own file.
sys.path[1:] = [path for path in sys.path[1:] if os.path.isabs(path) and path != os.getcwd()]

from compress.targets.runner.verbs import main  # noqa: E402

main()
