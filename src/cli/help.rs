//! Texts of the help that are not about one option: usage, examples, exit codes.

/// Columns of the help, at most.
pub(crate) const WIDTH: usize = 100;

/// Usage of the main job and of the commands.
pub(crate) const USAGE: &str = "scale-export --ids <FILE> --out <DIR> [OPTIONS]
       scale-export <COMMAND>";

/// The end of `-h`.
pub(crate) const AFTER_SHORT: &str = "--help prints all options, examples and exit codes.";

/// The end of `--help`.
pub(crate) const AFTER_LONG: &str = "\
Examples:
  Export the tasks of a list of IDs; run it again to fetch what is new or not final:
      SCALE_API_KEY=live_... scale-export --ids ids.txt --out export/
  Try it without a key, against a mock server:
      scale-export --id task_1 --id task_2 --out demo/ --sandbox
  Export all tasks of a batch as CSV:
      scale-export --batch \"Week 7\" --out export/ --format csv
  Print how many requests a run would send:
      scale-export --project Chat --out export/ --dry-run

Exit codes:
  0    every ID was exported
  1    unexpected failure, or more failed IDs than --max-failures
  2    wrong usage, or an input file that cannot be read
  3    published, but some IDs failed; failures.jsonl lists them
  4    the API refused the key
  5    the API was unavailable or rate-limited every request; run the command again
  6    the output could not be written
  7    verify found a mismatch
  8    not published: the export would be empty or much smaller (--max-shrink)
  129, 130, 143   interrupted; run the command again to continue

Documentation: docs/README.md in the source of scale-export; options: docs/options.md";

/// The end of `verify --help`.
pub(crate) const VERIFY: &str = "\
Examples:
  Verify an export:
      scale-export verify export/
  Verify an export that was combined from shards:
      scale-export verify export/ shard-0/ shard-1/
  Write the result as JSON:
      scale-export verify export/ -q --summary -

Exit codes:
  0    the export is complete and correct
  1    unexpected failure
  2    wrong usage, or an export that cannot be read
  6    the summary could not be written
  7    a mismatch was found
  129, 130, 143   interrupted

Documentation: docs/verify.md in the source of scale-export";

/// The end of `check --help`.
pub(crate) const CHECK: &str = "\
Examples:
  Check the options of an export before its first run:
      scale-export check --ids ids.txt --out export/
  Check what a scheduled run needs, as JSON:
      scale-export check --ids ids.txt --out export/ --api-key-file key --json
  Check without a key, against a mock server:
      scale-export check --id task_1 --out demo/ --sandbox

Exit codes:
  0    the export can run; the other codes are those that the run would end with
  1    unexpected failure
  2    wrong usage, an input file that cannot be read, or another run at work
  4    the API refused the key
  5    the API was unavailable, or its certificate is not trusted
  6    the output could not be written
  8    the export would be much smaller than the published one (--max-shrink)
  129, 130, 143   interrupted

Documentation: docs/check.md in the source of scale-export";

/// The end of `status --help`.
pub(crate) const STATUS: &str = "\
Examples:
  Print what an export holds, how its last run ended, and what the next one fetches:
      scale-export status export/
  Print the same as JSON, and select a member:
      scale-export status export/ --json | jq .next_run.fetch

Exit codes:
  0    printed; damaged parts are listed as problems
  2    wrong usage, a directory without an export, or an export of a newer version
  6    standard output could not be written
  129, 130, 143   interrupted

Documentation: docs/status.md in the source of scale-export";

/// The end of `flatten --help`.
pub(crate) const FLATTEN: &str = "\
Examples:
  Rebuild the tables of an export in place:
      scale-export flatten export/ --out export/
  Write CSV tables into another directory:
      scale-export flatten export/ --out export-csv/ --format csv
  Read one task per line from a compressed file:
      scale-export flatten raw.jsonl.gz --out tables/
  Rebuild an export in a bucket from its state:
      scale-export flatten s3://bucket/a --state dir/ --out s3://bucket/a

Exit codes:
  0    every task was written
  1    unexpected failure, or more failed IDs than --max-failures
  2    wrong usage, or a source that cannot be read
  3    published, but some IDs have no response or some lines are not valid tasks
  6    the output could not be written
  8    not published: the export would be empty or much smaller (--max-shrink)
  129, 130, 143   interrupted

Documentation: docs/flatten.md in the source of scale-export";

/// The end of `combine --help`.
pub(crate) const COMBINE: &str = "\
Examples:
  Export a list on two machines, and merge the results:
      scale-export --ids ids.txt --shard 0/2 --out shard-0/
      scale-export --ids ids.txt --shard 1/2 --out shard-1/
      scale-export combine shard-0/ shard-1/ --out export/
  Verify the result against the raw responses, which stay in the shards:
      scale-export verify export/ shard-0/ shard-1/

Exit codes:
  0    all shards were combined, and every ID is exported
  1    unexpected failure, or more failed IDs than --max-failures
  2    wrong usage, or shards that are missing or do not fit together
  3    published, but some IDs failed
  6    the output could not be written
  8    not published: the export would be empty or much smaller (--max-shrink)
  129, 130, 143   interrupted

Documentation: docs/shards.md in the source of scale-export";

/// The end of `ids --help`.
pub(crate) const IDS: &str = "\
Examples:
  Save the IDs of a batch, and export them:
      scale-export ids --batch \"Week 7\" > ids.txt
      scale-export --ids ids.txt --out export/
  Count the completed tasks of a project:
      scale-export ids --project Chat --status completed | wc -l

Exit codes:
  0    all lists were read
  1    unexpected failure
  2    wrong usage, or an input file that cannot be read
  3    printed, but a list could not be read completely
  4    the API refused the key
  5    the API was unavailable or rate-limited every request
  6    the output could not be written
  129, 130, 143   interrupted; nothing is printed

Documentation: docs/lists.md in the source of scale-export";
/// The end of `report --help`.
pub(crate) const REPORT: &str = "\
Examples:
  Write report.html in this directory:
      scale-export report export/
  Name another file, and show contributors:
      scale-export report export/ --out week7.html --contributors

Exit codes:
  0    the report was written
  2    wrong usage, no export that can be read, or a file that must not be overwritten
  6    the output could not be written
  129, 130, 143   interrupted

Documentation: docs/report.md in the source of scale-export";

/// Usage of `changes`.
pub(crate) const CHANGES_USAGE: &str = "scale-export changes [OPTIONS] [OLD] <NEW>";

/// The end of `changes --help`.
pub(crate) const CHANGES: &str = "\
Examples:
  Count the tasks that the last publication changed:
      scale-export changes export/
  Write what changed since a publication, with the rows of changed tasks:
      scale-export changes export/ --since 0123456789abcdef --out feed/ --with-tables
  Compare two exports:
      scale-export changes old_export/ export/

Exit codes:
  0    the changes were listed
  2    wrong usage, no export that can be read, or changes that are not known: load the whole export
  6    the output could not be written
  129, 130, 143   interrupted

Documentation: docs/changes.md in the source of scale-export";

/// The end of `schema --help`.
pub(crate) const SCHEMA: &str = "\
Examples:
  Print all tables with their columns:
      scale-export schema
  Print one table as JSON:
      scale-export schema messages --format json
  Print SQL that creates and loads the tables in a database:
      scale-export schema --dialect postgres

Exit codes:
  0    printed
  2    wrong usage, or a directory without an export
  6    the output could not be written

Documentation: docs/tables.md and docs/sql.md in the source of scale-export";

/// The end of `sandbox --help`.
#[cfg(feature = "sandbox")]
pub(crate) const SANDBOX: &str = "\
Examples:
  Run the server, and export from it in another terminal:
      scale-export sandbox --port 8080
      SCALE_API_KEY=test_key scale-export --base-url http://127.0.0.1:8080 --id task_1 --out demo/
  Limit the rate, and let 5% of the tasks fail on their first attempt:
      scale-export sandbox --rate-limit 50 --fault 500=0.05

Exit codes:
  0    ended by a signal
  1    unexpected failure
  2    wrong usage, or a port that cannot be opened
  6    the address could not be printed

Documentation: docs/sandbox.md in the source of scale-export";

/// The end of `completions --help`.
pub(crate) const COMPLETIONS: &str = "\
Examples:
  Complete commands in bash:
      scale-export completions bash > ~/.local/share/bash-completion/completions/scale-export
  Complete commands in zsh, with ~/.zfunc in its fpath:
      scale-export completions zsh > ~/.zfunc/_scale-export
  Complete commands in fish:
      scale-export completions fish > ~/.config/fish/completions/scale-export.fish

Exit codes:
  0    printed
  2    wrong usage
  6    the output could not be written

Documentation: docs/README.md in the source of scale-export";

/// The end of `man --help`.
pub(crate) const MAN: &str = "\
Examples:
  Read the page of a command:
      scale-export man verify | man -l -
  Install all pages for this user:
      scale-export man --out ~/.local/share/man/man1

Exit codes:
  0    printed or written
  2    wrong usage
  6    the output could not be written

Documentation: docs/installation.md in the source of scale-export";
