"""What the tests of the example DAGs share: Airflow with an empty database, and the module of a DAG."""
import importlib.util
import os
from datetime import datetime, timezone


def load(source, home):
    """Starts Airflow in a directory, and imports the file of a DAG without errors."""
    os.environ.update(
        AIRFLOW_HOME=str(home),
        AIRFLOW__CORE__LOAD_EXAMPLES="False",
        AIRFLOW__CORE__DAGS_FOLDER=str(source.parent),
        # Tracebacks of tasks that are meant to fail say nothing.
        AIRFLOW__LOGGING__LOGGING_LEVEL="CRITICAL",
    )

    from airflow.dag_processing.dagbag import DagBag
    from airflow.utils.db import initdb

    initdb()
    assert DagBag(str(source)).import_errors == {}
    spec = importlib.util.spec_from_file_location("example", source)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(dag, day):
    """Runs a DAG. Returns the state of the run, and those of its tasks; a mapped task has one for each index."""
    result = dag.test(logical_date=datetime(2026, 1, day, tzinfo=timezone.utc))
    states = {}
    for task in result.get_task_instances():
        name = task.task_id if task.map_index < 0 else f"{task.task_id}[{task.map_index}]"
        states[name] = str(task.state)
    return str(result.state), states
