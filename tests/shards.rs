//! Many processes make one run: whatever their number, order and fate, the bytes are those of one process.

#[path = "cli/program.rs"]
#[allow(dead_code)] // every test file uses its own part
mod program;

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use program::Place;

/// Two rules, an npz file each, and batches that do not divide the images.
const RUN: &str = "condition: Labels([3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5]),
    variants: [(\"none\", Conditional), (\"cfg + ssg\", Ssg(base: Cfg(scale: Ramp(1.5)), prior: Dse(), beta: 0.5))],
    sampling: TopKTopP(top_k: 20, top_p: 0.9),
    batch: 2,
    npz: true,";
const TRACED: [&str; 2] = ["--trace", "trace.safetensors"];
/// 150 images.
const MANY: &str = "condition: PerClass(15), guidance: Cfg(scale: 1.5), batch: 3, npz: true";

/// Every file below a folder, by its name there.
fn contents(place: &Place, folder: &str) -> BTreeMap<String, Vec<u8>> {
    let inside = |name: String| {
        let short = name.strip_prefix(folder)?.strip_prefix('/')?.to_owned();
        Some((short, std::fs::read(place.path(&name)).unwrap()))
    };
    place.files().into_iter().filter_map(inside).collect()
}

/// Names first: they tell more than bytes.
fn assert_same(place: &Place, found: &str, expected: &str) {
    let (found, expected) = (contents(place, found), contents(place, expected));
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (name, bytes) in &expected {
        assert!(found[name] == *bytes, "{name} differs");
    }
}

fn ok(place: &Place, arguments: &[&str]) -> program::Ran {
    let ran = place.run(arguments);
    assert_eq!(ran.code, Some(0), "{arguments:?}: {ran:?}");
    ran
}

/// The message of a command that is refused.
fn refused(place: &Place, arguments: &[&str]) -> String {
    let ran = place.run(arguments);
    assert_eq!(ran.code, Some(2), "{arguments:?}: {ran:?}");
    ran.err
}

fn many() -> Place {
    let place = Place::new();
    place.config("run.ron", MANY);
    place
}

fn start(place: &Place, arguments: &[&str]) -> Child {
    place.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits until there are this many finished pieces.
fn wait_for_pieces(place: &Place, pieces: usize) {
    let begin = Instant::now();
    let count = || {
        let entries = std::fs::read_dir(place.path("out/shards/images"));
        let visible = |entry: &std::io::Result<std::fs::DirEntry>| {
            entry.as_ref().is_ok_and(|entry| !entry.file_name().to_string_lossy().starts_with('.'))
        };
        entries.map_or(0, |entries| entries.filter(visible).count())
    };
    while count() < pieces {
        assert!(begin.elapsed() < Duration::from_secs(120), "no {pieces} pieces after two minutes");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn signal(child: &Child, signal: &str) {
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
}

#[test]
fn one_two_and_seven_shards_give_the_bytes_of_one_process() {
    let place = Place::new();
    place.config("run.ron", RUN);
    ok(&place, &[&["generate", "run.ron", "--out", "single"][..], &TRACED].concat());
    let traces = ["trace.none.safetensors", "trace.cfg-ssg.safetensors"];
    let expected = traces.map(|name| std::fs::read(place.path(name)).unwrap());
    for count in [1_u64, 2, 7] {
        traces.iter().for_each(|name| std::fs::remove_file(place.path(name)).unwrap());
        let out = format!("of-{count}");
        // The last first, and one in a folder of its own, as on another machine.
        for index in (0..count).rev() {
            let shard = format!("{index}/{count}");
            let ran = ok(
                &place,
                &[&["generate", "run.ron", "--out", &out, "--shard", &shard][..], &TRACED].concat(),
            );
            assert!(ran.err.contains(&format!("shard {index} of {count}, from --shard")), "{}", ran.err);
            assert!(ran.out.contains(&format!("nextscale merge {out}")), "{}", ran.out);
        }
        // Without the config: the merge needs neither it nor the model.
        std::fs::rename(place.path("run.ron"), place.path("away.ron")).unwrap();
        let ran = ok(&place, &["merge", &out]);
        std::fs::rename(place.path("away.ron"), place.path("run.ron")).unwrap();
        assert!(ran.out.contains("22 images"), "{}", ran.out);
        assert_same(&place, &out, "single");
        for (name, expected) in traces.iter().zip(&expected) {
            assert!(std::fs::read(place.path(name)).unwrap() == *expected, "{count} shards: {name} differs");
        }
        // Both are as after a single run.
        assert!(ok(&place, &["merge", &out]).out.contains("merged already"));
        let again = ok(&place, &["generate", "run.ron", "--out", &out, "--shard", "0/3"]);
        assert!(again.out.contains("0 images") && again.out.contains("22 were there"), "{}", again.out);
        assert_same(&place, &out, "single");
    }
}

#[test]
fn a_trace_of_some_images_is_merged_from_the_shards_that_have_them() {
    let place = Place::new();
    place.config("run.ron", RUN);
    let cut = ["--trace-images", "0,4-5,9", "--trace-fields", "guided,tokens", "--trace-dtype", "f16"];
    let run = |out: &str, more: &[&str]| {
        ok(&place, &[&["generate", "run.ron", "--out", out][..], &TRACED, &cut, more].concat());
    };
    run("single", &[]);
    let name = place.path("trace.cfg-ssg.safetensors");
    let expected = std::fs::read(&name).unwrap();
    std::fs::remove_file(&name).unwrap();
    (0..4).for_each(|index| run("out", &["--shard", &format!("{index}/4")]));
    ok(&place, &["merge", "out"]);
    assert!(std::fs::read(name).unwrap() == expected);
    assert_same(&place, "out", "single");
}

#[test]
fn an_incomplete_run_is_named_and_another_number_of_shards_keeps_what_is_there() {
    let place = Place::new();
    place.config("run.ron", RUN);
    let generate = |shard: &str| ok(&place, &["generate", "run.ron", "--out", "out", "--shard", shard]);
    generate("1/4");
    let error = refused(&place, &["merge", "out"]);
    assert!(error.contains("lacks 8 of 11 images: 0 to 1, 5 to 10;"), "{error}");
    // A single run and a measure say what to do.
    let error = refused(&place, &["generate", "run.ron", "--out", "out"]);
    assert!(error.contains("holds shards of a run, which `nextscale merge` puts together"), "{error}");
    let ran = place.run(&["evaluate", "out", "--save-statistics", "s.safetensors"]);
    assert!(ran.err.contains("nextscale merge"), "{ran:?}");
    let found: u64 = (0..3)
        .map(|index| {
            let ran = generate(&format!("{index}/3"));
            let before = ran.out.split(" were there already").next().filter(|before| *before != ran.out);
            before.map_or(0, |before| before.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        })
        .sum();
    assert_eq!(found, 6, "three images of each rule were there");
    ok(&place, &["generate", "run.ron", "--out", "single"]);
    // A piece that is there twice.
    let pieces = place.path("out/shards/none");
    std::fs::create_dir(pieces.join("00003-00005")).unwrap();
    let error = refused(&place, &["merge", "out"]);
    assert!(error.contains("has images twice: 3") && error.contains("00003-00005"), "{error}");
    std::fs::remove_dir(pieces.join("00003-00005")).unwrap();
    // An image that is gone.
    let first =
        std::fs::read_dir(&pieces).unwrap().map(|entry| entry.unwrap().path()).find(|path| path.is_dir());
    let image = std::fs::read_dir(first.unwrap()).unwrap().next().unwrap().unwrap().path();
    let bytes = std::fs::read(&image).unwrap();
    std::fs::remove_file(&image).unwrap();
    let error = refused(&place, &["merge", "out"]);
    assert!(error.contains("lacks 000") && error.contains("start the shards again"), "{error}");
    std::fs::write(&image, bytes).unwrap();
    ok(&place, &["merge", "out"]);
    assert_same(&place, "out", "single");
}

#[test]
fn shards_of_something_else_are_refused_and_nothing_is_lost() {
    let place = Place::new();
    place.config("run.ron", RUN);
    fn of<'a>(more: &[&'a str]) -> Vec<&'a str> {
        [&["generate", "run.ron", "--out", "out"][..], more].concat()
    }
    ok(&place, &of(&["--shard", "0/2"]));
    let before = contents(&place, "out");
    for (arguments, told) in [
        (&["--shard", "1/2", "--seed", "7"][..], "another seed: 0 there, 7 here"),
        (&["--shard", "1/2", "--set", "variants[1].1.beta=2"], "another config"),
        (&["--shard", "1/2", "--trace", "t.safetensors"], "another trace: none there"),
        (&["--shard", "2/2"], "no shard 2 of 2; shards count from 0 to 1"),
        (&["--shard", "0/0"], "cannot be 0 shards"),
        (&["--shard", "1"], "`1` is not a shard; write i/n"),
        (&["--shards", "2"], "add --shard i/n"),
    ] {
        let error = refused(&place, &of(arguments));
        assert!(error.contains(told), "{arguments:?}: {error}");
    }
    // Of another version, or on a processor with other arithmetic.
    let record = place.path("out/shards/run.json");
    let text = std::fs::read_to_string(&record).unwrap();
    let fact = text.split("\"arithmetic\"").nth(1).unwrap().split('"').nth(3).unwrap().to_owned();
    std::fs::write(&record, text.replace(&format!("\"{fact}\""), "\"abacus\"")).unwrap();
    let error = refused(&place, &of(&["--shard", "1/2"]));
    assert!(error.contains(&format!("another arithmetic: abacus there, {fact} here")), "{error}");
    assert!(error.contains("same NEXTSCALE_ROUTE"), "{error}");
    std::fs::write(&record, &text).unwrap();
    assert_eq!(contents(&place, "out"), before);
    // A folder of something else, of an unfinished run, and of another run.
    std::fs::create_dir(place.path("thesis")).unwrap();
    std::fs::write(place.path("thesis/thesis.tex"), b"x").unwrap();
    let error = refused(&place, &["generate", "run.ron", "--out", "thesis", "--shard", "0/2"]);
    assert!(error.contains("is not a run folder"), "{error}");
    let error = refused(&place, &["merge", "thesis"]);
    assert!(
        error.contains("thesis holds no shards; `nextscale generate` or `nextscale ablate` with"),
        "{error}"
    );
    ok(&place, &["generate", "run.ron", "--out", "whole"]);
    let error = refused(&place, &["generate", "run.ron", "--out", "whole", "--shard", "0/2", "--seed", "7"]);
    assert!(error.contains("whole was made with another config"), "{error}");
    // What cannot begin leaves nothing.
    let error =
        refused(&place, &["generate", "run.ron", "--out", "new", "--shard", "0/2", "--device", "cuda:99"]);
    assert!(error.contains("no device cuda:99"), "{error}");
    assert!(!place.path("new").exists());
}

#[test]
fn the_variables_of_a_launcher_are_read_and_told() {
    let place = Place::new();
    place.config("run.ron", RUN);
    let with = |variables: &[(&str, &str)], out: &str, more: &[&str]| {
        let mut command = place.command(&[&["generate", "run.ron", "--out", out][..], more].concat());
        place.ran(command.envs(variables.iter().copied()).output().unwrap())
    };
    // torchrun's, by hand.
    for rank in ["1", "0"] {
        let ran = with(&[("RANK", rank), ("WORLD_SIZE", "2"), ("LOCAL_RANK", rank)], "out", &[]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(ran.err.contains(&format!("shard {rank} of 2, from RANK")), "{}", ran.err);
    }
    ok(&place, &["merge", "out"]);
    ok(&place, &["generate", "run.ron", "--out", "single"]);
    assert_same(&place, "out", "single");
    let told = |variables: &[(&str, &str)]| {
        let ran = with(variables, "none", &[]);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(!place.path("none").exists() && !place.path("none.partial").exists());
        ran.err
    };
    assert!(told(&[("RANK", "5"), ("WORLD_SIZE", "4")]).contains("RANK is 5 and WORLD_SIZE 4"));
    let body = [("SLURM_PROCID", "0"), ("SLURM_NTASKS", "4")];
    assert!(told(&body).contains("start the command with srun"));
    let ran = with(&body, "all", &["--shard", "none"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_same(&place, "all", "single");
    assert!(told(&[("JOB_COMPLETION_INDEX", "1")]).contains("--shards n"));
    let ran = with(&[("JOB_COMPLETION_INDEX", "1")], "pods", &["--shards", "3"]);
    assert!(ran.err.contains("shard 1 of 3, from JOB_COMPLETION_INDEX"), "{ran:?}");
}

#[test]
fn a_launcher_s_signal_ends_the_batch_at_hand_and_the_shard_goes_on_later() {
    for signals in [&["-USR1"][..], &["-USR2"], &["-TERM", "-TERM"], &["-CONT", "-USR1", "-TERM"]] {
        let place = many();
        let arguments = ["generate", "run.ron", "--out", "out", "--shard", "0/2"];
        let worker = start(&place, &arguments);
        wait_for_pieces(&place, 2);
        signals.iter().for_each(|name| signal(&worker, name));
        let ran = place.ran(worker.wait_with_output().unwrap());
        assert_eq!(ran.code, Some(75), "{signals:?}: {ran:?}");
        assert!(ran.err.contains("stopped by the launcher; finished batches are kept"), "{}", ran.err);
        let pieces: Vec<String> = contents(&place, "out/shards/images").into_keys().collect();
        assert!(pieces.len().is_multiple_of(3) && (6..75).contains(&pieces.len()), "{signals:?}: {pieces:?}");
        assert!(pieces.iter().all(|name| !name.contains(".partial")), "{pieces:?}");
        let again = ok(&place, &arguments);
        assert!(again.out.contains(&format!("{} were there already", pieces.len())), "{}", again.out);
        if signals.len() > 1 {
            continue;
        }
        ok(&place, &["generate", "run.ron", "--out", "out", "--shard", "1/2"]);
        ok(&place, &["merge", "out"]);
        ok(&place, &["generate", "run.ron", "--out", "single"]);
        assert_same(&place, "out", "single");
    }
    // After a person's Ctrl-C the launcher must not start it again.
    let place = many();
    let worker = start(&place, &["generate", "run.ron", "--out", "out", "--shard", "0/2"]);
    wait_for_pieces(&place, 1);
    signal(&worker, "-INT");
    assert_eq!(worker.wait_with_output().unwrap().status.code(), Some(130));
}

#[test]
fn a_worker_that_is_killed_among_four_is_started_again_and_the_bytes_are_those_of_one() {
    let place = many();
    let shard = |index: u64| {
        let shard = format!("{index}/4");
        start(&place, &["generate", "run.ron", "--out", "out", "--shard", &shard])
    };
    let mut workers: Vec<Child> = (0..4).map(shard).collect();
    wait_for_pieces(&place, 12);
    let mut killed = workers.remove(2);
    killed.kill().unwrap();
    killed.wait().unwrap();
    // While the others are at work.
    let error = refused(&place, &["merge", "out"]);
    assert!(error.contains("a worker is making images") || error.contains("lacks"), "{error}");
    for worker in workers {
        let ran = place.ran(worker.wait_with_output().unwrap());
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
    let error = refused(&place, &["merge", "out"]);
    assert!(error.contains("lacks") && error.contains("to 111;"), "{error}");
    let again = place.ran(shard(2).wait_with_output().unwrap());
    assert_eq!(again.code, Some(0), "{again:?}");
    ok(&place, &["merge", "out"]);
    ok(&place, &["generate", "run.ron", "--out", "single"]);
    assert_same(&place, "out", "single");
}

#[test]
fn workers_of_one_share_and_of_several_cuts_at_once_never_make_an_image_twice() {
    let place = many();
    let shards = ["0/1", "0/1", "1/2", "0/3", "2/3"];
    let workers: Vec<Child> = (shards.iter())
        .map(|shard| start(&place, &["generate", "run.ron", "--out", "out", "--shard", shard]))
        .collect();
    let mut made = 0;
    for worker in workers {
        let ran = place.ran(worker.wait_with_output().unwrap());
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let images = ran.out.lines().find_map(|line| line.trim().split_once(" images on cpu")).unwrap().0;
        made += images.parse::<u64>().unwrap();
    }
    assert_eq!(made, 150);
    ok(&place, &["merge", "out"]);
    ok(&place, &["generate", "run.ron", "--out", "single"]);
    assert_same(&place, "out", "single");
}

/// 23 pictures of 64 × 64 pixels.
fn pictures(place: &Place) {
    std::fs::create_dir(place.path("set")).unwrap();
    for i in 0..23_u32 {
        let byte = |x: u32, y: u32| (x * 7 + y * 13 + i * 50) as u8;
        image::RgbImage::from_fn(64, 64, |x, y| image::Rgb([byte(x, y), byte(y, x), 9]))
            .save(place.path(&format!("set/{i:02}.png")))
            .unwrap();
    }
}

#[test]
fn statistics_of_shards_are_the_file_of_one_process_and_so_is_the_distance() {
    let place = Place::new();
    pictures(&place);
    ok(&place, &["evaluate", "set", "--save-statistics", "single.safetensors"]);
    let distance = |file: &str| {
        ok(&place, &["evaluate", file, "--reference", "cifar10", "--json", "m.json"]);
        let measures: serde_json::Value =
            serde_json::from_slice(&std::fs::read(place.path("m.json")).unwrap()).unwrap();
        measures["measures"][0]["value"].as_f64().unwrap().to_bits()
    };
    let expected = (std::fs::read(place.path("single.safetensors")).unwrap(), distance("single.safetensors"));
    for count in [1, 2, 7] {
        let file = format!("of-{count}.safetensors");
        for index in (0..count).rev() {
            let shard = format!("{index}/{count}");
            let ran = ok(&place, &["evaluate", "set", "--save-statistics", &file, "--shard", &shard]);
            assert!(ran.out.contains(&format!("nextscale merge {file}")), "{}", ran.out);
        }
        assert!(!place.path(&file).exists());
        ok(&place, &["merge", &file]);
        assert!(std::fs::read(place.path(&file)).unwrap() == expected.0, "{count} shards");
        assert_eq!(distance(&file), expected.1, "{count} shards");
        assert!(!place.path(&format!("{file}.shards")).exists());
    }
    fn of<'a>(more: &[&'a str]) -> Vec<&'a str> {
        [&["evaluate", "set", "--save-statistics", "s.safetensors"][..], more].concat()
    }
    ok(&place, &of(&["--shard", "0/2"]));
    for (arguments, told) in [
        (&["--shard", "1/2", "--seed", "3"][..], "another seed: 2020 there, 3 here"),
        (&["--shard", "1/2", "--size", "32"], "another size of images: 64 × 64 there, 32 × 32 here"),
        (&["--shard", "1/2", "--reference", "cifar10"], "leave out --reference"),
    ] {
        let error = refused(&place, &of(arguments));
        assert!(error.contains(told), "{arguments:?}: {error}");
    }
    let error = refused(&place, &["merge", "s.safetensors"]);
    assert!(error.contains("lacks 12 of 23 images: 11 to 22"), "{error}");
    let error = refused(&place, &["evaluate", "set", "--reference", "cifar10", "--shard", "0/2"]);
    assert!(error.contains("need --save-statistics"), "{error}");
}

#[test]
fn reconstructions_of_shards_are_the_file_of_one_process() {
    let place = Place::new();
    place.config("one.ron", "condition: Labels([3]), guidance: Conditional");
    pictures(&place);
    let run = |out: &str, more: &[&str]| {
        ok(&place, &[&["reconstruct", "one.ron", "set", "--batch", "4", "--out", out][..], more].concat())
    };
    run("single.npz", &[]);
    let expected = std::fs::read(place.path("single.npz")).unwrap();
    for count in [1, 2, 7] {
        let file = format!("of-{count}.npz");
        (0..count).rev().for_each(|index| drop(run(&file, &["--shard", &format!("{index}/{count}")])));
        let ran = ok(&place, &["merge", &file]);
        assert!(ran.out.contains("23 images"), "{}", ran.out);
        assert!(std::fs::read(place.path(&file)).unwrap() == expected, "{count} shards");
    }
    let error = refused(&place, &["merge", "single.npz"]);
    assert!(error.contains("merged already"), "{error}");
    run("r.npz", &["--shard", "0/2"]);
    place.config("other.ron", "condition: Labels([4]), guidance: Conditional");
    let other = ["reconstruct", "other.ron", "set", "--batch", "4", "--out", "r.npz", "--shard", "1/2"];
    // The same weights under another name are the same tokenizer.
    ok(&place, &other);
    ok(&place, &["merge", "r.npz"]);
    assert!(std::fs::read(place.path("r.npz")).unwrap() == expected);
}

/// Two rules on two seeds; `more` continues the settings.
fn ablation(measures: &str, more: &str) -> String {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/var");
    format!(
        "(base: (model: Var(tokenizer: \"{fixtures}/vae.safetensors\", backbone: \"{fixtures}/var_aln.safetensors\", \
         norm_groups: 4), condition: PerClass(1), guidance: Conditional, batch: 4), \
         variants: [(name: \"none\"), (name: \"cfg\", set: {{\"guidance\": Cfg(scale: 1.5)}})], baseline: \"none\", \
         seeds: [1, 2], samples: 7, measures: {measures}, timing: 0{more})"
    )
}

#[test]
fn an_ablation_of_shards_has_the_images_judgements_and_report_of_one_process() {
    let place = Place::new();
    std::fs::write(place.path("a.ron"), ablation("[Pixels]", "")).unwrap();
    ok(&place, &["ablate", "a.ron", "--out", "single"]);
    let expected = contents(&place, "single");
    for count in [2, 7] {
        let out = format!("of-{count}");
        let mut made = 0;
        for index in (0..count).rev() {
            let shard = format!("{index}/{count}");
            let ran = ok(&place, &["ablate", "a.ron", "--out", &out, "--shard", &shard]);
            let (_, told) = ran.out.split_once(": ").unwrap();
            made += told.split_once(" chunks").unwrap().0.parse::<u64>().unwrap();
            if (index, count) == (1, 2) {
                let error = refused(&place, &["merge", &out]);
                assert!(error.contains("chunks of images: none (seed 1, images 0 to 6)"), "{error}");
                let error = refused(&place, &["ablate", "a.ron", "--out", &out]);
                assert!(error.contains("holds shards of an ablation"), "{error}");
            }
        }
        // Two cells and two seeds, with a chunk each.
        assert_eq!(made, 4);
        ok(&place, &["merge", &out]);
        let found = contents(&place, &out);
        assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        for (name, bytes) in &expected {
            assert!(name == "runs.jsonl" || found[name] == *bytes, "{count} shards: {name} differs");
        }
        let again = ok(&place, &["merge", &out]);
        assert!(
            again.out.contains(&format!("{out}: an ablation of 2 cells, merged already")),
            "{}",
            again.out
        );
        assert_eq!(contents(&place, &out), found);
    }
    // One without shards that is not finished.
    std::fs::create_dir(place.path("begun")).unwrap();
    std::fs::create_dir(place.path("begun/cells")).unwrap();
    std::fs::write(place.path("begun/.lock"), b"").unwrap();
    let error = refused(&place, &["merge", "begun"]);
    assert!(error.contains("begun holds an unfinished ablation; repeat `nextscale ablate`"), "{error}");
    let error = refused(&place, &["ablate", "a.ron", "--out", "single", "--shard", "0/2"]);
    assert!(error.contains("an ablation without shards"), "{error}");
    ok(&place, &["ablate", "a.ron", "--out", "other", "--shard", "0/2"]);
    let other = ["ablate", "a.ron", "--out", "other", "--shard", "1/2", "--set", "seeds=[1, 3]"];
    let error = refused(&place, &other);
    assert!(error.contains("another list of seeds: 1, 2 there, 1, 3 here"), "{error}");
}

#[test]
fn shards_of_a_tuned_ablation_choose_when_all_tuning_images_are_there() {
    let place = Place::new();
    let tuned = ", reference: Images(\"set\"), tune: (axes: [{\"sampling\": [TopKTopP(temperature: 0.3), TopKTopP(temperature: 1.0)]}], \
                 seeds: [5, 6], samples: 3, by: \"spectrum error\")";
    pictures(&place);
    std::fs::write(place.path("a.ron"), ablation("[Spectrum]", tuned)).unwrap();
    ok(&place, &["ablate", "a.ron", "--out", "single"]);
    let expected = contents(&place, "single");
    let run = |shard: &str| place.run(&["ablate", "a.ron", "--out", "out", "--shard", shard]);
    // Two cells at two temperatures on two seeds are eight chunks, of which the first worker makes four.
    for _ in 0..2 {
        let waiting = run("0/2");
        assert_eq!(waiting.code, Some(75), "{waiting:?}");
        assert!(waiting.err.contains("4 of 8 chunks of tuning images are other shards'"), "{}", waiting.err);
    }
    let error = refused(&place, &["merge", "out"]);
    assert!(error.contains("lacks 4 of 8 chunks of tuning images"), "{error}");
    let last = run("1/2");
    assert!(last.code == Some(0) && last.out.contains("shard 1 of 2: 6 chunks of images"), "{last:?}");
    let error = refused(&place, &["merge", "out"]);
    assert!(error.contains("lacks 2 of 4 chunks of images"), "{error}");
    let first = run("0/2");
    assert!(
        first.code == Some(0) && first.out.contains("2 chunks of images; 4 were there already"),
        "{first:?}"
    );
    ok(&place, &["merge", "out"]);
    let found = contents(&place, "out");
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (name, bytes) in &expected {
        assert!(name == "runs.jsonl" || found[name] == *bytes, "{name} differs");
    }
}
