"""The tasks of this project: each a step of headworks with its retries, cache, timeout and name, yours to change."""

from __future__ import annotations

from headworks.prefect.stages import Tasks
from tasks.database import ingest_table
from tasks.extract import extract_files, extract_resource
from tasks.gold import audit_gold, commit_gold, pin_silver, stage_gold
from tasks.models import commit_model, judge_model, prepare_model, register_model, score_model, train_model
from tasks.publish import check_publication, name_product, publish_tables
from tasks.refine import refine_dataset

TASKS = Tasks(
    extract_resource=extract_resource,
    extract_files=extract_files,
    ingest_table=ingest_table,
    refine_dataset=refine_dataset,
    pin_silver=pin_silver,
    stage_gold=stage_gold,
    audit_gold=audit_gold,
    commit_gold=commit_gold,
    check_publication=check_publication,
    name_product=name_product,
    publish_tables=publish_tables,
    prepare_model=prepare_model,
    train_model=train_model,
    judge_model=judge_model,
    score_model=score_model,
    commit_model=commit_model,
    register_model=register_model,
)
"""What the stages that flows have in common run."""
