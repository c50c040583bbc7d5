//! Published files: names, manifest, the commit that publishes all or none, the guard, `load.sql` and README.

pub mod checksum;
pub mod commit;
pub mod digest_file;
pub mod digest_writer;
pub mod earlier_files;
pub mod export_readme;
pub mod failure_lines;
pub mod file_names;
pub mod guard;
pub mod load_sql;
pub mod manifest;
pub mod manifest_fault;
pub mod output_dir;
pub mod previous_export;
pub mod publication_id;
pub mod publication_shape;
pub mod published_export;
pub mod queries;
pub mod staging;
