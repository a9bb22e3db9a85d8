//! The process's own memory: one heap for all threads, and giving back what only a busy moment needed.

use std::fs;
use std::io;
use std::ops::Range;

/// Free heap that is still resident is given back once there is more of it than this.
const WORTH_GIVING_BACK_BYTES: usize = 4 << 20;

/// Lets all threads allocate from one heap. Several heaps spare a few contended microseconds, and each keeps its own
/// leftovers for good. To be called before the first thread is started.
pub fn share_one_heap() {
    // SAFETY: `mallopt` only sets a number that later allocations read.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
}

/// Gives memory that is free but still resident back to the kernel, if there is enough of it to be worth a walk over
/// the heap. Returns whether there was.
///
/// # Errors
/// When `/proc/self` cannot be read.
pub fn give_back_free_heap() -> io::Result<bool> {
    // SAFETY: `mallinfo2` only reads the allocator's own books, under their locks.
    let books = unsafe { libc::mallinfo2() };
    let resident = anonymous_bytes(&fs::read_to_string("/proc/self/status")?);
    let slack = resident.saturating_sub(books.uordblks + books.hblkhd);
    if slack <= WORTH_GIVING_BACK_BYTES {
        return Ok(false);
    }
    // SAFETY: `malloc_trim` releases only pages that hold no allocation.
    unsafe { libc::malloc_trim(0) };
    Ok(true)
}

/// Takes the program's code out of this process's page tables. The kernel maps code in generous pieces, so after a
/// start most of what counts as resident was never run, or never will be again; what is run is back at once, from the
/// page cache.
///
/// # Errors
/// When `/proc/self` cannot be read, or the kernel refuses.
pub fn give_back_code() -> io::Result<()> {
    let program = fs::read_link("/proc/self/exe")?;
    for range in code_of(&fs::read_to_string("/proc/self/maps")?, &program.to_string_lossy()) {
        // SAFETY: the range is a private, read-only and executable mapping of a file, as the kernel just told: it has no
        // contents but the file's, and unmapped pages are read from there again. Nobody unmaps a running program.
        if unsafe { libc::madvise(range.start as *mut _, range.len(), libc::MADV_DONTNEED) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Resident bytes that are of no file, from the text of `status`.
fn anonymous_bytes(status: &str) -> usize {
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<usize>().ok());
    kilobytes.unwrap_or(0) * 1024
}

/// Where a program's code is, from the text of `maps`.
fn code_of<'a>(maps: &'a str, program: &'a str) -> impl Iterator<Item = Range<usize>> + 'a {
    maps.lines().filter_map(move |line| {
        let (addresses, rest) = line.split_once(' ')?;
        if !rest.starts_with("r-xp ") || !rest.ends_with(&format!(" {program}")) {
            return None;
        }
        let (start, end) = addresses.split_once('-')?;
        Some(usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_only_code_of_the_program() {
        let maps = "00200000-01000000 r--p 00000000 fe:00 1234                           /usr/bin/isopod\n\
                    01001000-04234000 r-xp 00e01000 fe:00 1234                           /usr/bin/isopod\n\
                    04234000-04300000 rw-p 04034000 fe:00 1234                           /usr/bin/isopod\n\
                    7f0000000000-7f0000100000 r-xp 00000000 fe:00 99                     /usr/lib/libc.so.6\n\
                    7f0000200000-7f0000201000 r-xp 00000000 00:00 0                      [vdso]\n";
        let mut code = code_of(maps, "/usr/bin/isopod");
        assert_eq!((code.next(), code.next()), (Some(0x0100_1000..0x0423_4000), None));
        assert_eq!(code_of(maps, "/bin/isopod").count(), 0);
    }

    #[test]
    fn counts_what_is_of_no_file() {
        assert_eq!(anonymous_bytes("Name:\tisopod\nVmRSS:\t   55152 kB\nRssAnon:\t    8568 kB\n"), 8568 * 1024);
        assert_eq!(anonymous_bytes("nonsense"), 0);
    }

    #[test]
    fn gives_back_what_was_freed_and_runs_on() {
        share_one_heap();
        let pieces: Vec<Vec<u8>> = (0..40_000).map(|_| vec![1; 1000]).collect();
        // What is freed between pieces that stay cannot go back by itself.
        let kept: Vec<Vec<u8>> =
            pieces.into_iter().enumerate().filter(|(n, _)| n % 8 == 0).map(|(_, one)| one).collect();
        let resident = || anonymous_bytes(&fs::read_to_string("/proc/self/status").unwrap());
        let before = resident();
        assert!(give_back_free_heap().unwrap());
        give_back_code().unwrap();
        assert!(resident() + (10 << 20) < before, "{before} bytes became {}", resident());
        assert!(kept.iter().all(|piece| piece.iter().all(|byte| *byte == 1)));
    }
}
