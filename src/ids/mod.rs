//! Reads the list of task IDs, in every form the command line accepts.
