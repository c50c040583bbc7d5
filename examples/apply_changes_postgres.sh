#!/bin/sh
# Applies a feed of `scale-export changes --with-tables --format csv` to Postgres, in one transaction.
#
# Argument: the directory of the feed. The variables PGHOST, PGDATABASE, … name the database. It has the tables of
# docs/sql.md, and a table with the ID of the publication that they hold:
#     CREATE TABLE publication (id TEXT);
set -eu
cd "$1"
{
    # The variable `feed` is the content of changes.json.
    cat << 'SQL'
\set ON_ERROR_STOP on
\set feed `cat changes.json`
BEGIN;
LOCK TABLE publication;
SELECT coalesce(max(id) = :'feed'::json->>'to', false) AS is_applied,
    max(id) IS NOT DISTINCT FROM :'feed'::json->>'from' AS is_next FROM publication \gset
\if :is_applied
\q
\endif
\if :is_next
\else
DO $$ BEGIN RAISE EXCEPTION 'the feed does not follow the publication in the database: load the whole export again'; END $$;
\endif
CREATE TEMPORARY TABLE changes (task_id TEXT, change TEXT, previous_sha256 TEXT, sha256 TEXT) ON COMMIT DROP;
\copy changes FROM 'changes.csv' WITH (FORMAT csv, HEADER MATCH, ENCODING 'UTF8')
SQL
    for file in *.csv; do
        table=${file%.csv}
        copy="WITH (FORMAT csv, HEADER MATCH, ENCODING 'UTF8')"
        case $table in
            changes) continue ;;
            projects | batches) printf '%s\n' "DELETE FROM $table;" ;;
            *) printf '%s\n' "DELETE FROM $table USING changes WHERE $table.task_id = changes.task_id;" ;;
        esac
        if [ "$table" = attachments ]; then
            # The CSV has base64.
            printf '%s\n' "CREATE TEMPORARY TABLE new_attachments (LIKE attachments) ON COMMIT DROP;"
            printf '%s\n' "ALTER TABLE new_attachments ALTER content TYPE TEXT USING NULL;"
            printf '%s\n' "\\copy new_attachments FROM '$file' $copy"
            printf '%s\n' "ALTER TABLE new_attachments ALTER content TYPE BYTEA USING decode(content, 'base64');"
            printf '%s\n' "INSERT INTO attachments SELECT * FROM new_attachments;"
        else
            printf '%s\n' "\\copy $table FROM '$file' $copy"
        fi
    done
    cat << 'SQL'
DELETE FROM publication;
INSERT INTO publication VALUES (:'feed'::json->>'to');
COMMIT;
SQL
} | psql --no-psqlrc --quiet
