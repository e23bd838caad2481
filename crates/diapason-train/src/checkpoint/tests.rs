use super::*;
use crate::fixtures::arch;
use diapason_model::Layout;
use tempfile::TempDir;

fn identity() -> Identity {
    let part = |name: &str| Fingerprint::of(name.as_bytes());
    Identity { settings: part("settings"), data: part("data"), model: part("model") }
}

struct Saved {
    folder: TempDir,
    checkpoints: Checkpoints,
    layout: Layout,
}

/// Writes a checkpoint after each of these steps; every value of its buffers tells the step.
fn saved(keep: usize, steps: &[u64]) -> Saved {
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::new(folder.path(), keep, identity());
    let layout = Layout::of(&arch());
    for &step in steps {
        let buffers = buffers(step, layout.len);
        let [weights, first, second] = buffers;
        let moments = Moments::F32([first, second]);
        checkpoints.write(step, &layout.tensors, (Numbers::F32(&weights), &moments)).unwrap();
    }
    Saved { folder, checkpoints, layout }
}

fn buffers(step: u64, len: usize) -> [Vec<f32>; 3] {
    [0.25f32, 0.5, -0.0]
        .map(|part| (0..len).map(|index| (step as f32 + index as f32 / 7.0) * part).collect())
}

impl Saved {
    fn newest(&self) -> (Option<u64>, Vec<String>) {
        let mut problems = Vec::new();
        let mut skipped = |event: Event| match event {
            Event::CheckpointSkipped { problem, .. } => problems.push(problem),
            other => panic!("{other:?}"),
        };
        let found = self.checkpoints.newest(&mut skipped).unwrap();
        (found.map(|found| found.step), problems)
    }

    fn file(&self, step: u64, name: &str) -> PathBuf {
        self.folder.path().join(format!("checkpoints/step-{step:06}/{name}"))
    }
}

#[test]
fn a_checkpoint_comes_back_bit_for_bit() {
    let saved = saved(2, &[3]);
    let found = saved.checkpoints.newest(&mut |_| ()).unwrap().unwrap();
    let mut weights = vec![0.0; saved.layout.len];
    let mut moments = Moments::F32([vec![0.0; saved.layout.len], vec![1.0; saved.layout.len]]);
    found.load(&saved.layout.tensors, Numbers::F32(&mut weights), &mut moments).unwrap();
    let Moments::F32([first, second]) = moments else { panic!("they are f32") };
    let read = [weights, first, second];
    let bits = |buffers: &[Vec<f32>; 3]| {
        buffers.clone().map(|b| b.iter().map(|v| v.to_bits()).collect::<Vec<_>>())
    };
    assert_eq!(bits(&read), bits(&buffers(3, saved.layout.len)));
}

#[test]
fn only_the_newest_stay_and_nothing_partial() {
    let saved = saved(2, &[2, 4, 6, 10]);
    let mut names: Vec<_> = fs::read_dir(saved.folder.path().join("checkpoints"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["step-000006", "step-000010"]);
    assert_eq!(saved.newest(), (Some(10), vec![]));
}

#[test]
fn damaged_checkpoints_are_passed_over() {
    let saved = saved(9, &[1, 2, 3, 4, 5]);
    let cut = fs::OpenOptions::new().write(true).open(saved.file(5, "first.safetensors")).unwrap();
    cut.set_len(100).unwrap();
    let mut bytes = fs::read(saved.file(4, "model.safetensors")).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(saved.file(4, "model.safetensors"), bytes).unwrap();
    fs::remove_file(saved.file(3, "state.json")).unwrap();
    fs::write(saved.file(2, "state.json"), "{").unwrap();
    let (step, problems) = saved.newest();
    assert_eq!(step, Some(1));
    assert!(problems[0].starts_with("first.safetensors has 100 bytes of"), "{problems:?}");
    assert_eq!(problems[1], "model.safetensors has another checksum than when it was written");
    assert!(problems[2].starts_with("state.json"), "{problems:?}");
    assert!(problems[3].starts_with("state.json"), "{problems:?}");
}

#[test]
fn a_checkpoint_of_another_run_is_refused() {
    let saved = saved(2, &[7]);
    for (differs, identity) in [
        ("settings", Identity { settings: Fingerprint::of(b"x"), ..identity() }),
        ("data", Identity { data: Fingerprint::of(b"x"), ..identity() }),
        ("initial weights", Identity { model: Fingerprint::of(b"x"), ..identity() }),
    ] {
        let other = Checkpoints::new(saved.folder.path(), 2, identity);
        match other.newest(&mut |_| ()) {
            Err(TrainError::OtherRun { differs: found, .. }) => assert_eq!(found, differs),
            result => panic!("not refused: {result:?}"),
        }
    }
}

#[test]
fn a_failed_write_names_the_path_and_leaves_the_checkpoint_before() {
    let saved = saved(1, &[1]);
    let blocked = saved.folder.path().join("checkpoints/step-000002.partial");
    fs::write(&blocked, "in the way").unwrap();
    let new = buffers(2, saved.layout.len);
    let [weights, first, second] = new;
    let moments = Moments::F32([first, second]);
    let failed =
        saved.checkpoints.write(2, &saved.layout.tensors, (Numbers::F32(&weights), &moments));
    let message = failed.unwrap_err().to_string();
    assert!(message.contains("step-000002.partial"), "{message}");
    assert_eq!(saved.newest(), (Some(1), vec![]));
}

#[test]
fn weights_are_a_safetensors_file() {
    let saved = saved(1, &[1]);
    let bytes = fs::read(saved.file(1, "model.safetensors")).unwrap();
    let (length, rest) = bytes.split_at(8);
    let length = u64::from_le_bytes(length.try_into().unwrap()) as usize;
    assert_eq!(length % 8, 0);
    let header: serde_json::Value = serde_json::from_slice(&rest[..length]).unwrap();
    let embed = &header["model.embed_tokens.weight"];
    assert_eq!(embed["dtype"], "F32");
    assert_eq!(embed["shape"], serde_json::json!([32, 16]));
    assert_eq!(embed["data_offsets"], serde_json::json!([0, 4 * 32 * 16]));
    assert_eq!(rest.len() - length, 4 * saved.layout.len);
}
