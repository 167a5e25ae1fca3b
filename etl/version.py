"""The version, here for those whom `etl` itself imports."""

VERSION = "0.1.0"
