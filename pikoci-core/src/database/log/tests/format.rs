//! The formats: what was written once is read for ever, and what is no chunk
//! or archive is told, whatever it is.

use bytes::Bytes;
use proptest::prelude::*;

use super::support::{World, noise, read_from};
use crate::blob::{BlobStore, Digest, content};
use crate::database::log::archive_format::Index;
use crate::database::log::chunk::{
    Builder, Chunk, FormatError, HEADER_SIZE_BYTES, Header, MAX_BODY_SIZE_BYTES, Packer,
};
use crate::database::log::{LogError, MAX_ENTRY_SIZE_BYTES, ReadLimit};
use crate::store::limits::MAX_VALUE_SIZE_BYTES;
use crate::store::{Store, Txn};

// These files are never changed; a new version of the format gets new ones
// beside them.
const PLAIN: &[u8] = include_bytes!("../../../../tests/data/log-v1.chunk-plain");
const PACKED: &[u8] = include_bytes!("../../../../tests/data/log-v1.chunk-packed");
const ARCHIVE: &[u8] = include_bytes!("../../../../tests/data/log-v1.archive");

/// The entries of the plain chunk.
fn few() -> Vec<Bytes> {
    let all: Vec<u8> = (0..=255).collect();
    vec!["{\"number\":0,\"type\":\"build_created\"}".into(), Bytes::new(), "é".into(), all.into()]
}

/// The entries of the packed chunk, which begins at 4.
fn many() -> Vec<Bytes> {
    (4..504).map(|number| format!("{{\"number\":{number},\"text\":\"line\\n\"}}").into()).collect()
}

fn plain(first: u64, entries: &[Bytes]) -> Bytes {
    let mut builder = Builder::new(first, MAX_VALUE_SIZE_BYTES);
    assert!(entries.iter().all(|entry| builder.push(entry)));
    builder.finish().unwrap().1
}

fn read(value: &[u8]) -> Result<(u64, Vec<Bytes>), FormatError> {
    let chunk = Chunk::read(&Bytes::copy_from_slice(value))?;
    Ok((chunk.header().first, chunk.entries().collect()))
}

fn archive(frames: &[Bytes]) -> Bytes {
    let mut index = Index::new();
    let mut bytes = b"PIKOLOG\x01".to_vec();
    for frame in frames {
        index.push(frame).unwrap();
        bytes.extend_from_slice(frame);
    }
    bytes.extend_from_slice(&index.write());
    bytes.into()
}

/// The same header over another body, with a checksum that matches.
fn forged(value: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = value.to_vec();
    change(&mut bytes);
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[..18]);
    hasher.update(&bytes[HEADER_SIZE_BYTES..]);
    bytes[18..22].copy_from_slice(&hasher.finalize().to_be_bytes());
    bytes
}

#[test]
fn chunks_of_version_1_are_read() {
    assert_eq!(read(PLAIN).unwrap(), (0, few()));
    assert_eq!(read(PACKED).unwrap(), (4, many()));
    assert_eq!(PACKED[1], 1);
}

#[test]
fn a_plain_chunk_is_written_as_it_always_was() {
    assert_eq!(plain(0, &few()), PLAIN);
}

#[test]
fn an_archive_is_written_as_it_always_was() {
    assert_eq!(archive(&[Bytes::from_static(PLAIN), Bytes::from_static(PACKED)]), ARCHIVE);
}

/// A world whose log `a` is archived in `blob`, with so many frames and entries.
async fn archived(blob: &[u8], frames: u64, next: u64) -> World {
    let world = World::new();
    world.blobs.put(content(blob.to_vec())).await.unwrap();
    let digest = Digest::of(blob);
    let size = blob.len();
    let head = format!(
        "\x01\x01{{\"next\":{next},\"bytes\":9,\"chunks\":{frames},\"state\":{{\"archived\":\
         {{\"blob\":\"{digest}\",\"blob_size\":{size},\"cleared\":true}}}}}}"
    );
    let txn = Txn::new(uuid::Uuid::nil()).put(world.log().head, head);
    world.store.commit(&txn).await.unwrap();
    world
}

#[tokio::test]
async fn an_archive_of_version_1_is_read_from_any_entry_on() {
    let world = archived(ARCHIVE, 2, 504).await;
    let all = [few(), many()].concat();
    for from in [0, 1, 3, 4, 5, 100, 503, 504, 600] {
        let read = read_from(&world.log(), from, ReadLimit::default()).await.unwrap();
        assert_eq!(read, all.get(from as usize..).unwrap_or_default(), "{from}");
    }
}

#[tokio::test]
async fn an_archive_that_is_damaged_anywhere_is_told() {
    // Not the first 8 bytes: nothing needs them to read the log.
    for at in (8..ARCHIVE.len()).step_by(3) {
        let mut blob = ARCHIVE.to_vec();
        blob[at] ^= 0x10;
        let world = archived(&blob, 2, 504).await;
        let error = read_from(&world.log(), 0, ReadLimit::default()).await.unwrap_err();
        assert!(matches!(error, LogError::Unreadable { .. }), "{at}: {error}");
    }
    for size in [0, 1, 30, 40, ARCHIVE.len() - 1] {
        let world = archived(&ARCHIVE[..size], 2, 504).await;
        let error = read_from(&world.log(), 0, ReadLimit::default()).await.unwrap_err();
        assert!(matches!(error, LogError::Unreadable { .. }), "{size}: {error}");
    }
    // An index that says less than the head: what is missing is told.
    let world = archived(ARCHIVE, 2, 600).await;
    let read = read_from(&world.log(), 504, ReadLimit::default()).await;
    assert!(matches!(read, Err(LogError::Missing { .. } | LogError::Unreadable { .. })));
    // A head that names more frames than there can be.
    let world = archived(ARCHIVE, u64::MAX, 504).await;
    let error = read_from(&world.log(), 0, ReadLimit::default()).await.unwrap_err();
    assert!(matches!(error, LogError::Unreadable { .. }), "{error}");
}

#[test]
fn a_chunk_that_is_damaged_anywhere_is_told() {
    for value in [PLAIN, PACKED] {
        for at in 0..value.len() {
            let mut bytes = value.to_vec();
            bytes[at] ^= 1;
            let expected = if at == 0 { FormatError::Version(0) } else { FormatError::Checksum };
            assert_eq!(read(&bytes), Err(expected), "{at}");
            assert!(read(&value[..at]).is_err(), "{at}");
        }
    }
    assert_eq!(read(b""), Err(FormatError::Short));
    let newer = FormatError::Version(2).to_string();
    assert_eq!(newer, "its format is version 2, this program reads version 1");
}

#[test]
fn a_chunk_that_lies_with_a_good_checksum_is_told() {
    let number = FormatError::Field("number of entries");
    let size = FormatError::Field("size");
    let body = FormatError::Field("packed body");
    let set = |at: usize, bytes: &'static [u8]| {
        move |value: &mut Vec<u8>| value[at..at + bytes.len()].copy_from_slice(bytes)
    };
    let lies = [
        (forged(PLAIN, set(1, &[2])), FormatError::Field("packing")),
        (forged(PLAIN, set(10, &[0, 0, 0, 0])), number),
        (forged(PLAIN, set(10, &[0, 0, 0, 5])), number),
        (forged(PLAIN, set(10, &[0, 0, 0, 3])), number),
        (forged(PLAIN, set(2, &[0xff; 8])), number),
        (forged(PLAIN, set(14, &[0, 0, 0, 9])), size),
        (forged(PLAIN, set(14, &[0xff; 4])), size),
        (forged(PLAIN, set(22, &[0xff; 4])), number),
        // Fewer bytes than the body has, and many more.
        (forged(PACKED, set(14, &[0, 0, 0, 9])), body),
        (forged(PACKED, set(14, &[0xff; 4])), size),
        (forged(PACKED, set(14, &[0, 0x10, 0, 0])), size),
        (forged(PACKED, set(22, &[0; 8])), body),
    ];
    for (at, (bytes, expected)) in lies.into_iter().enumerate() {
        assert_eq!(read(&bytes), Err(expected), "{at}");
    }
}

#[test]
fn a_bomb_is_refused_before_it_goes_off() {
    let bomb = zstd::bulk::compress(&vec![0; 64 * 1024 * 1024], 3).unwrap();
    for size in [9, MAX_BODY_SIZE_BYTES as u32] {
        let value = forged(PACKED, |value| {
            value.truncate(HEADER_SIZE_BYTES);
            value[14..18].copy_from_slice(&size.to_be_bytes());
            value.extend_from_slice(&bomb);
        });
        assert_eq!(read(&value), Err(FormatError::Field("packed body")));
    }
}

#[test]
fn an_entry_of_the_largest_size_fits_whether_it_packs_or_not() {
    let hard: Bytes =
        noise(1).iter().chain(&noise(2)).copied().take(MAX_ENTRY_SIZE_BYTES).collect();
    for entry in [hard, vec![0; MAX_ENTRY_SIZE_BYTES].into()] {
        let entries = [entry.clone(), entry];
        let (header, value) = Packer::new().pack(3, &entries).unwrap();
        assert!(value.len() <= MAX_VALUE_SIZE_BYTES);
        let (first, read) = read(&value).unwrap();
        assert_eq!((first, &read[..]), (3, &entries[..header.count as usize]));
    }
}

proptest! {
    #[test]
    fn chunks_read_back(
        first in 0_u64..1 << 60,
        sizes in prop::collection::vec((0_usize..3000, any::<u8>()), 1..40),
    ) {
        let entries: Vec<Bytes> =
            sizes.into_iter().map(|(size, byte)| vec![byte; size].into()).collect();
        let (header, value) = Packer::new().pack(first, &entries).unwrap();
        prop_assert_eq!(Header::read(&value).unwrap(), header);
        prop_assert_eq!(read(&value).unwrap(), (first, entries[..header.count as usize].to_vec()));
    }

    #[test]
    fn any_bytes_are_a_chunk_or_an_error(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        packing in 0_u8..3,
        body in prop::collection::vec(0_u8..4, 0..60),
    ) {
        let _ = read(&bytes);
        let forgery = forged(PLAIN, |value| {
            value[1] = packing;
            value.truncate(HEADER_SIZE_BYTES);
            value.extend_from_slice(&body);
            value[10..18].fill(0);
            value[13] = 3;
            value[17] = body.len() as u8;
        });
        if let Ok((_, entries)) = read(&forgery) {
            prop_assert_eq!(entries.len(), 3);
        }
    }

    #[test]
    fn any_bytes_are_an_index_or_an_error(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        places in prop::collection::vec(any::<(u8, u8, u8)>(), 0..5),
        offset in 0_u64..200,
        next in 0_u64..20,
    ) {
        let _ = Index::read(&bytes, offset);
        let mut forgery = Vec::new();
        for (first, at, size) in &places {
            forgery.extend_from_slice(&u64::from(*first).to_be_bytes());
            forgery.extend_from_slice(&u64::from(*at).to_be_bytes());
            forgery.extend_from_slice(&u32::from(*size).to_be_bytes());
        }
        forgery.extend_from_slice(&offset.to_be_bytes());
        forgery.extend_from_slice(&(places.len() as u32).to_be_bytes());
        forgery.extend_from_slice(&next.to_be_bytes());
        forgery.extend_from_slice(&crc32fast::hash(&forgery).to_be_bytes());
        forgery.extend_from_slice(b"PIKOLOG\x01");
        if let Ok(index) = Index::read(&forgery, offset) {
            prop_assert_eq!(index.next(), next);
            prop_assert_eq!(index.from(0).len(), places.len());
        }
    }
}
