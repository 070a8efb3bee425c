"""HTTP from inside a host's network: a path a line in, a JSON answer a line out.

One process for many questions, since starting an interpreter for each would disturb what the
tests measure. Run by the harness; imports only the standard library.
"""

import http.client
import json
import sys


def fetch(host: str, port: int, path: str, timeout_s: float) -> dict[str, object]:
    connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return {"status": answer.status, "body": answer.read().decode()}
    except (OSError, http.client.HTTPException) as error:
        return {"status": 0, "body": f"{type(error).__name__}: {error}"}
    finally:
        connection.close()


def main() -> None:
    host, port, timeout_s = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    for line in sys.stdin:
        sys.stdout.write(json.dumps(fetch(host, port, line.strip(), timeout_s)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
