"""What the workers of host.py need. It is a module of its own because not every library can send what belongs to the main one."""

from dataclasses import dataclass


@dataclass
class Record:
    name: str
    path: str
    kind: str
    digest: bytes
    id: int
    size: int
    status: int
    score: float
    cached: bool
    tags: list


def echo(payload):
    return payload
