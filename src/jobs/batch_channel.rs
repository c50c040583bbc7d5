//! A channel that passes items in batches: waking a thread for each item would cost as much as handling it.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Bytes of a batch after which it is sent.
const BATCH_BYTES: usize = 256 << 10;

/// The maximum number of waiting batches. With the one being filled and the one being read, at most four batches are in
/// memory, or four items that are larger than a batch.
const WAITING_BATCHES: usize = 2;

/// Creates a channel.
pub(crate) fn channel<T>() -> (BatchSender<T>, Receiver<Vec<T>>) {
    let (sender, receiver) = sync_channel(WAITING_BATCHES);
    let sender = BatchSender {
        sender,
        batch: Vec::new(),
        bytes: 0,
    };
    (sender, receiver)
}

/// The receiver has ended. It reports why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReceiverClosed;

/// The sending end.
#[derive(Debug)]
pub(crate) struct BatchSender<T> {
    sender: SyncSender<Vec<T>>,
    batch: Vec<T>,
    bytes: usize,
}

impl<T> BatchSender<T> {
    /// Sends an item, now or with later ones. `bytes` is the memory that it takes on the heap.
    pub(crate) fn push(&mut self, item: T, bytes: usize) -> Result<(), ReceiverClosed> {
        self.bytes += size_of::<T>() + bytes;
        self.batch.push(item);
        if self.bytes >= BATCH_BYTES {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// Sends the items that wait.
    pub(crate) fn flush(&mut self) -> Result<(), ReceiverClosed> {
        if self.batch.is_empty() {
            return Ok(());
        }
        self.bytes = 0;
        let batch = std::mem::take(&mut self.batch);
        self.sender.send(batch).map_err(|_| ReceiverClosed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_arrive_in_order_and_in_batches() {
        let (mut sender, received) = channel();
        for number in 0..3 {
            sender.push(number, 0).unwrap();
        }
        assert!(received.try_recv().is_err());
        sender.push(3, BATCH_BYTES).unwrap();
        assert_eq!(received.recv(), Ok(vec![0, 1, 2, 3]));
        sender.push(4, 0).unwrap();
        sender.flush().unwrap();
        assert_eq!(received.recv(), Ok(vec![4]));
        drop(received);
        sender.push(5, 0).unwrap();
        assert_eq!(sender.flush(), Err(ReceiverClosed));
    }
}
