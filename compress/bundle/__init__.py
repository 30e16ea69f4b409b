"""The bundle: manifest, results, verification, signature, bill of materials."""
