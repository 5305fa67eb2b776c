//! Random reads of a file whose every block knows its own number.

use std::{
    fs,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    process,
    rc::Rc,
    time::Instant,
};

use proactor::fs::File;

use super::Running;
use crate::{failure::Failure, probe::Probe};

/// Bytes per read, and per block of the file.
const BLOCK: usize = 4096;
/// Bytes of the whole file.
pub(crate) const FILE_BYTES: u64 = 64 << 20;
/// Blocks of the whole file.
const BLOCKS: u64 = FILE_BYTES / BLOCK as u64;

/// `in_flight` tasks share one file; each reads block after block at random
/// and checks that it got the block it asked for.
pub(crate) async fn start(probe: Rc<Probe>, path: PathBuf, in_flight: usize) -> Result<Running, Failure> {
    let file = Rc::new(File::open(path).await?);
    let reader = |seed| proactor::spawn(read(file.clone(), seed, probe.clone()));
    Ok((0..in_flight as u64).map(reader).collect())
}

async fn read(file: Rc<File>, seed: u64, probe: Rc<Probe>) -> Result<(), Failure> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut buffer = Vec::with_capacity(BLOCK);
    while probe.running() {
        let block = random.u64(..BLOCKS);
        let begun = Instant::now();
        (_, buffer) = file.read_exact_at(buffer, block * BLOCK as u64).await?;
        probe.record(begun.elapsed(), 1);
        check(&buffer, block)?;
    }
    Ok(())
}

/// Whether `bytes` are the block `block`: its number opens and closes it.
fn check(bytes: &[u8], block: u64) -> Result<(), Failure> {
    let number = block.to_le_bytes();
    if bytes.len() == BLOCK && bytes.starts_with(&number) && bytes.ends_with(&number) {
        return Ok(());
    }
    Err(Failure::Wrong(format!(
        "the read of block {block} gave {} bytes that are not that block",
        bytes.len(),
    )))
}

/// Makes the file: every 8 bytes of a block hold the block's number. It appears
/// under its name only when it is complete.
pub(crate) fn create(path: &Path) -> io::Result<()> {
    let unfinished = path.with_extension(process::id().to_string());
    let mut writer = BufWriter::with_capacity(1 << 20, fs::File::create(&unfinished)?);
    for block in 0..BLOCKS {
        writer.write_all(&block.to_le_bytes().repeat(BLOCK / 8))?;
    }
    // To the disk now, so that writing back disturbs no measurement.
    writer.into_inner()?.sync_data()?;
    fs::rename(unfinished, path)
}
