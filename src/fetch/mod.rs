//! The network side: fetches every wanted ID and hands the results over as they arrive.
