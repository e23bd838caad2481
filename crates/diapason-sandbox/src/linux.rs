//! The sandbox by the namespaces of Linux.
//!
//! Outside, [`enter`]: a user of no rank, namespaces, then the process inside. Inside, [`serve`],
//! the first process of its own world: mounts, limits, then the program, and the watch over it.

use crate::{End, KEPT_BYTES, Limits, Order, Outcome};
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::{self, Gid, Uid};
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Owner of nothing, by long custom.
const NOBODY: u32 = 65534;

/// The user inside: of no rank there, so that no program inside ever has any right over mounts.
const INSIDE: u32 = 1000;

/// Where the new root is built; any folder that exists will do, since nobody else sees it.
const ROOT: &str = "/tmp";

/// What is read inside as it is outside, where it exists.
const READABLE: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/opt",
    // Programs under alternative names, and where their libraries are.
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
];

/// Devices without which much breaks.
const DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom"];

/// Time between two looks at the processes inside.
const WATCH: Duration = Duration::from_millis(5);

/// Enters the namespaces and starts this binary again with `arguments`, which must call [`serve`].
/// Returns whether that succeeded.
///
/// # Errors
/// What the system refuses. The process is then good for nothing more.
pub fn enter(arguments: &[&str]) -> io::Result<bool> {
    if unistd::geteuid().is_root() {
        // The kernel counts no processes of root, so root must become someone.
        unistd::setgroups(&[]).map_err(refused("drop groups"))?;
        let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
        unistd::setresgid(group, group, group).map_err(refused("drop its group"))?;
        unistd::setresuid(user, user, user).map_err(refused("drop its rank"))?;
        prctl::set_dumpable(true).map_err(refused("own itself"))?;
    }
    become_user(0)?;
    let parts = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS;
    unshare(parts).map_err(refused("have namespaces"))?;
    Ok(Command::new("/proc/self/exe").args(arguments).status()?.success())
}

/// A user namespace in which this user is `inside`.
fn become_user(inside: u32) -> io::Result<()> {
    let (user, group) = (unistd::geteuid(), unistd::getegid());
    unshare(CloneFlags::CLONE_NEWUSER).map_err(refused("have a user namespace"))?;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("{inside} {user} 1"))?;
    fs::write("/proc/self/gid_map", format!("{inside} {group} 1"))
}

fn refused(what: &str) -> impl Fn(Errno) -> io::Error {
    move |errno| io::Error::other(format!("the system does not let it {what} ({errno})"))
}

/// Runs the job that comes on the standard input and prints what it left.
///
/// # Errors
/// What the system refuses; the job has not run then.
pub fn serve() -> io::Result<()> {
    let with_parent =
        || prctl::set_pdeathsig(Signal::SIGKILL).map_err(refused("end with its parent"));
    with_parent()?;
    let order: Order = serde_json::from_reader(io::stdin())?;
    build_root(&order)?;
    become_user(INSIDE)?;
    // A new user may have forgotten it.
    with_parent()?;
    limit(&order.limits)?;
    let outcome = run(&order)?;
    // Ending the first process ends all the others.
    serde_json::to_writer(io::stdout(), &outcome).map_err(io::Error::from)
}

/// Makes a root of what may be seen, and goes there.
fn build_root(order: &Order) -> io::Result<()> {
    let none: Option<&str> = None;
    let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .map_err(refused("part its mounts"))?;
    // Bound before the old /tmp is covered: it may be below.
    let root = Path::new(ROOT);
    mount(Some("tmpfs"), root, Some("tmpfs"), quiet, Some("size=1m,mode=755"))
        .map_err(refused("mount memory"))?;
    let mut readable: Vec<PathBuf> = READABLE.iter().map(PathBuf::from).collect();
    // Java keeps its settings there.
    let settings = fs::read_dir("/etc")?.filter_map(Result::ok).map(|entry| entry.path());
    readable.extend(settings.filter(|path| path.to_string_lossy().starts_with("/etc/java")));
    for path in readable.iter().filter(|path| !path.starts_with(ROOT)) {
        show(path, &within(root, path))?;
    }
    for device in DEVICES {
        let path = Path::new("/dev").join(device);
        bind(&path, &within(root, &path))?;
    }
    let (work, proc) = (root.join("work"), root.join("proc"));
    for folder in [&work, &proc] {
        fs::create_dir(folder)?;
    }
    symlink("work", root.join("tmp"))?;
    mount(Some("proc"), &proc, Some("proc"), quiet, none).map_err(refused("mount /proc"))?;
    let size = format!("size={},mode=700", order.limits.disk_bytes);
    mount(Some("tmpfs"), &work, Some("tmpfs"), quiet, Some(size.as_str()))
        .map_err(refused("mount memory"))?;
    for (name, content) in &order.job.files {
        fs::write(work.join(name), content)?;
    }
    std::env::set_current_dir(root)?;
    unistd::pivot_root(".", ".").map_err(refused("change its root"))?;
    umount2(".", MntFlags::MNT_DETACH).map_err(refused("leave the old root"))?;
    std::env::set_current_dir("/")?;
    close_mounts()
}

fn within(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// Shows a path inside, a link as a link; nothing where there is nothing.
fn show(path: &Path, inside: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() => symlink(fs::read_link(path)?, inside),
        Ok(_) => bind(path, inside),
        Err(_) => Ok(()),
    }
}

fn bind(path: &Path, inside: &Path) -> io::Result<()> {
    if let Some(folder) = inside.parent() {
        fs::create_dir_all(folder)?;
    }
    if path.is_dir() {
        fs::create_dir_all(inside)?;
    } else {
        File::create(inside)?;
    }
    let none: Option<&str> = None;
    mount(Some(path), inside, none, MsFlags::MS_BIND | MsFlags::MS_REC, none)
        .map_err(refused("show what it may read"))
}

/// Makes every mount but the folder of the job one for reading only. Marks that a mount has from
/// outside must be given again, or the system takes it for an attempt to lift them.
fn close_mounts() -> io::Result<()> {
    let none: Option<&str> = None;
    for line in fs::read_to_string("/proc/self/mountinfo")?.lines() {
        let mut cells = line.split(' ').skip(4);
        let (Some(place), Some(marks)) = (cells.next(), cells.next()) else { continue };
        let place = place.replace("\\040", " ");
        if ["/proc", "/work"].contains(&place.as_str()) || place.starts_with("/dev/") {
            continue;
        }
        let mut flags = MsFlags::MS_REMOUNT
            | MsFlags::MS_BIND
            | MsFlags::MS_RDONLY
            | MsFlags::MS_NOSUID
            | MsFlags::MS_NODEV;
        if marks.split(',').any(|mark| mark == "noexec") {
            flags |= MsFlags::MS_NOEXEC;
        }
        mount(none, place.as_str(), none, flags, none).map_err(refused("close its mounts"))?;
    }
    Ok(())
}

/// Limits of every process that follows, this one included.
fn limit(limits: &Limits) -> io::Result<()> {
    for (resource, most) in [
        (Resource::RLIMIT_CORE, 0),
        (Resource::RLIMIT_NOFILE, 256),
        (Resource::RLIMIT_FSIZE, limits.disk_bytes),
        // Not address space: some interpreters reserve much and use little.
        (Resource::RLIMIT_DATA, limits.memory_bytes),
        (Resource::RLIMIT_NPROC, limits.processes),
    ] {
        setrlimit(resource, most, most).map_err(refused("have limits"))?;
    }
    prctl::set_no_new_privs().map_err(refused("give up rank"))?;
    prctl::set_dumpable(false).map_err(refused("be left alone"))
}

fn run(order: &Order) -> io::Result<Outcome> {
    let (out, err) = (Path::new("/work/.stdout"), Path::new("/work/.stderr"));
    let mut left =
        Outcome { end: End::Exited(0), step: 0, stdout: String::new(), stderr: String::new() };
    for (step, command) in order.job.commands.iter().enumerate() {
        let end = watch(command, &order.limits, (out, err))?;
        left = Outcome { end, step, stdout: tail(out)?, stderr: tail(err)? };
        if !left.succeeded() {
            break;
        }
    }
    Ok(left)
}

/// Runs one command and looks after it.
fn watch(command: &[String], limits: &Limits, (out, err): (&Path, &Path)) -> io::Result<End> {
    let Some((program, arguments)) = command.split_first() else { return Ok(End::NoProgram) };
    let started = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", "/work")
        .env("LANG", "C.UTF-8")
        .current_dir("/work")
        .stdin(Stdio::null())
        .stdout(File::create(out)?)
        .stderr(File::create(err)?)
        .spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(gone) if gone.kind() == io::ErrorKind::NotFound => return Ok(End::NoProgram),
        Err(other) => return Err(other),
    };
    let end = Instant::now() + Duration::from_secs(limits.seconds);
    loop {
        if let Some(status) = child.try_wait()? {
            let code = status.code().map(End::Exited);
            return Ok(code.or(status.signal().map(End::Signal)).unwrap_or(End::NoProgram));
        }
        if Instant::now() >= end {
            return Ok(End::OutOfTime);
        }
        if used_bytes() > limits.memory_bytes {
            return Ok(End::OutOfMemory);
        }
        std::thread::sleep(WATCH);
    }
}

/// Memory that the processes inside have in use, but for the first. What they share counts for each
/// of them: the sum errs on the safe side.
fn used_bytes() -> u64 {
    let page = unistd::sysconf(unistd::SysconfVar::PAGE_SIZE).ok().flatten().unwrap_or(4096);
    let pages = |process: &fs::DirEntry| -> Option<u64> {
        let id: u32 = process.file_name().to_str()?.parse().ok()?;
        let sizes = fs::read_to_string(format!("/proc/{id}/statm")).ok()?;
        sizes.split(' ').nth(1)?.parse().ok().filter(|_| id != 1)
    };
    let processes = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    processes.filter_map(|process| pages(&process)).sum::<u64>() * page as u64
}

fn tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(KEPT_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(KEPT_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
