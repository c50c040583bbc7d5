//! Stores encoded pages until their row group is complete: the first ones in memory, the others in a file.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use parquet::column::page_store::{PageKey, PageStore, PageStoreArgs, PageStoreFactory};
use parquet::errors::{ParquetError, Result};

use crate::encode::parquet::write::spill::{Region, Spill};

/// Maximum bytes of a table's pages in memory.
const RESIDENT_BYTES: usize = 512 << 10;

/// Creates the page stores of a table's columns.
#[derive(Debug)]
pub(crate) struct PageStores {
    spill: Arc<Spill>,
    /// Bytes in memory in all stores together.
    resident: Arc<AtomicUsize>,
}

impl PageStores {
    pub(crate) fn new(spill: Arc<Spill>) -> Self {
        Self {
            spill,
            resident: Arc::default(),
        }
    }
}

impl PageStoreFactory for PageStores {
    fn create(&self, _: &PageStoreArgs<'_>) -> Result<Box<dyn PageStore>> {
        Ok(Box::new(ColumnPages {
            spill: Arc::clone(&self.spill),
            resident: Arc::clone(&self.resident),
            stored: Vec::new(),
        }))
    }
}

/// A page in memory or in the file.
enum StoredPage {
    Memory(Bytes),
    File(Region),
    Taken,
}

/// The pages of one column.
struct ColumnPages {
    spill: Arc<Spill>,
    resident: Arc<AtomicUsize>,
    stored: Vec<StoredPage>,
}

impl PageStore for ColumnPages {
    fn put(&mut self, page: Bytes) -> Result<PageKey> {
        let key = PageKey::new(self.stored.len() as u64);
        // The columns of a table are encoded one after the other, so no other store changes the value between these two
        // steps.
        let resident = self.resident.load(Ordering::Relaxed) + page.len();
        self.stored.push(if resident <= RESIDENT_BYTES {
            self.resident.store(resident, Ordering::Relaxed);
            StoredPage::Memory(page)
        } else {
            StoredPage::File(self.spill.put(&page)?)
        });
        Ok(key)
    }

    fn take(&mut self, key: PageKey) -> Result<Bytes> {
        let page = usize::try_from(key.get());
        let page = page.ok().and_then(|index| self.stored.get_mut(index));
        match page.map(|page| std::mem::replace(page, StoredPage::Taken)) {
            Some(StoredPage::Memory(page)) => {
                self.resident.fetch_sub(page.len(), Ordering::Relaxed);
                Ok(page)
            }
            Some(StoredPage::File(region)) => Ok(self.spill.get(region)?),
            Some(StoredPage::Taken) | None => Err(ParquetError::General(format!(
                "page {} is not stored",
                key.get()
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_come_back_from_memory_and_from_the_file() {
        let stores = PageStores::new(Arc::new(Spill::new(None)));
        let mut pages = ColumnPages {
            spill: Arc::clone(&stores.spill),
            resident: Arc::clone(&stores.resident),
            stored: Vec::new(),
        };
        let put: Vec<Bytes> = (0..6)
            .map(|number| vec![number; RESIDENT_BYTES / 3].into())
            .collect();
        let keys: Vec<PageKey> = put
            .iter()
            .map(|page| pages.put(page.clone()).unwrap())
            .collect();
        assert!(matches!(pages.stored.get(2), Some(StoredPage::Memory(_))));
        assert!(matches!(pages.stored.get(3), Some(StoredPage::File(_))));
        for (key, page) in keys.into_iter().zip(put).rev() {
            assert!(pages.take(key).unwrap() == page);
            assert!(pages.take(key).is_err());
        }
        assert_eq!(stores.resident.load(Ordering::Relaxed), 0);
    }
}
