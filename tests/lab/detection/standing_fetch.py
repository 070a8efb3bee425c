"""As tests/lab/fetch.py, over one connection that stands: a daemon that has no descriptor left
for another one still answers on it. Only the standard library."""

import http.client
import json
import sys


def main() -> None:
    connection = http.client.HTTPConnection(
        sys.argv[1], int(sys.argv[2]), timeout=float(sys.argv[3])
    )
    for line in sys.stdin:
        try:
            connection.request("GET", line.strip())
            answer = connection.getresponse()
            found = {"status": answer.status, "body": answer.read().decode()}
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            found = {"status": 0, "body": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
