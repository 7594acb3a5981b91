"""A certificate of our own for this machine."""

import subprocess


def certificate_in(directory):
    """Make one for localhost; return its path and that of its key."""
    cert, key = directory / "cert.pem", directory / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    files = ["-out", str(cert), "-keyout", str(key)]
    subprocess.run([*command, *names, *files], check=True, capture_output=True)
    return str(cert), str(key)
