//! Writing a small message with the cheaper system call.
//!
//! hyper hands over head and body as separate slices, for `writev`. The kernel
//! takes longer to unpack those than it takes to copy a small message together
//! and `send` it; for large ones it is the other way round.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{io::AsyncWrite, net::TcpStream};

/// Messages up to this size are copied together.
const SMALL: usize = 2048;

pub(crate) fn poll_write_flat(
    stream: &mut TcpStream,
    cx: &mut Context<'_>,
    slices: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    let stream = Pin::new(stream);
    if let [slice] = slices {
        return stream.poll_write(cx, slice);
    }
    let length = slices.iter().map(|slice| slice.len()).sum::<usize>();
    if length > SMALL {
        return stream.poll_write_vectored(cx, slices);
    }
    let mut flat = [0; SMALL];
    let mut end = 0;
    for slice in slices {
        flat[end..end + slice.len()].copy_from_slice(slice);
        end += slice.len();
    }
    stream.poll_write(cx, &flat[..end])
}
