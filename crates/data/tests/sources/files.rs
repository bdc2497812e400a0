use downhill_data::source::{ArrayFile, ArraySource, InMemory, RawRows, Rows, Source, SourceBatches};
use downhill_data::{Dataset, ElementType, Targets, npy};
use downhill_tensor::{Seed, Shape};
use ndarray::{Array1, Array3};

use crate::{epoch, failure, message};

#[test]
fn rows_of_files_are_examples() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let inputs = Array3::from_shape_fn((50, 2, 3), |(i, j, k)| (6 * i + 3 * j + k) as f32 / 3.0);
    let labels = Array1::from_shape_fn(50, |i| (i % 4) as i64);
    let weights = Array1::from_shape_fn(50, |i| (1 + i) as u16);
    npy::write_path(path("x.npy"), &inputs).unwrap();
    npy::write_path(path("y.npy"), &labels).unwrap();
    npy::write_path(path("w.npy"), &weights).unwrap();
    let expected = Dataset::from_array(inputs.mapv(f64::from), Targets::classes((0..50).map(|i| i % 4).collect(), 4))
        .unwrap()
        .with_input(weights.iter().map(|&w| f64::from(w)).collect(), [1])
        .unwrap()
        .with_weights(weights.iter().map(|&w| f64::from(w)).collect())
        .unwrap();
    let npy = |name: &str| ArrayFile::npy(path(name)).unwrap();
    let from_npy = || {
        let source = ArraySource::classes(npy("x.npy"), npy("y.npy"), 4).unwrap();
        source.with_input(npy("w.npy")).unwrap().with_weights(npy("w.npy")).unwrap()
    };
    // The same in one file of records with a header: weight, label, inputs, and a byte more.
    let mut bytes = vec![9; 5];
    for (i, x) in inputs.outer_iter().enumerate() {
        bytes.extend(weights[i].to_le_bytes());
        bytes.push(labels[i] as u8);
        x.iter().for_each(|x| bytes.extend(x.to_le_bytes()));
        bytes.push(9);
    }
    std::fs::write(path("all.bin"), &bytes).unwrap();
    let raw = |element, shape: &[usize], place| {
        let shape = Shape::new(shape).unwrap();
        RawRows::new(element, shape).header(5).record(28, place).open(path("all.bin")).unwrap()
    };
    let from_raw = || {
        let (x, y) = (raw(ElementType::F32, &[2, 3], 3), raw(ElementType::U8, &[1], 2));
        let w = || raw(ElementType::U16, &[1], 0);
        ArraySource::classes(x, y, 4).unwrap().with_input(w()).unwrap().with_weights(w()).unwrap()
    };
    for shuffled in [false, true] {
        let make = |source: Box<dyn Source<f64>>| {
            if shuffled { SourceBatches::shuffled(source, 7, Seed(1)) } else { SourceBatches::sequential(source, 7) }
                .unwrap()
        };
        let whole = epoch(&mut make(Box::new(InMemory::new(expected.clone()))));
        for source in [from_npy(), from_raw()] {
            let mut batches = make(Box::new(source)).prefetch(2);
            for number in [0, 0] {
                batches.start_epoch(number);
                assert_eq!(epoch(&mut batches), whole);
            }
        }
    }
    let mut rows = Rows::<f64>::new(Source::<f64>::layout(&from_npy()));
    from_npy().read(3, &mut rows).unwrap();
    assert_eq!((rows.len(), rows.input(0).shape().axes()), (3, &[2, 3][..]));
    let reshaped = npy("x.npy").reshape([1, 6]).unwrap();
    assert_eq!(reshaped.shape().axes(), [1, 6]);
    assert!(npy("x.npy").reshape([7]).is_err());
    let targets = ArraySource::values(npy("w.npy"), npy("x.npy")).unwrap();
    assert_eq!(Source::<f32>::layout(&targets).target_shape().axes(), [2, 3]);
}

#[test]
fn files_that_are_not_what_they_say_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npy");
    let error = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        let message = message(ArrayFile::npy(&path));
        message.strip_prefix(&format!("`{}`: ", path.display())).expect("the file's name").to_owned()
    };
    let header = |descr: &str, fortran: &str, shape: &str| {
        let text = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n");
        [b"\x93NUMPY\x01\x00", &(text.len() as u16).to_le_bytes()[..], text.as_bytes()].concat()
    };
    let with = |mut header: Vec<u8>, data: usize| {
        header.resize(header.len() + data, 0);
        header
    };
    let c = |descr: &str, shape: &str| header(descr, "False", shape);
    assert!(error(b"").starts_with("the NPY header is cut short"));
    assert_eq!(
        error(&with(c("<f8", "(1000000000000, 1000)"), 80)),
        "the NPY header speaks of 8000000000000000 bytes of data, but only 80 follow; the file is cut short"
    );
    assert!(error(&with(c("<f8", "(9223372036854775807, 1000)"), 80)).contains("but only 80 follow"));
    assert!(error(&with(c("<f8", "(2, 9223372036854775807)"), 80)).starts_with("an array of shape"));
    assert!(error(&with(c("|u1", "(10,)"), 11)).contains("speaks of 10 bytes of data, but more follow"));
    assert!(error(&with(c("|u1", "()"), 1)).starts_with("an array of shape []"));
    assert!(error(&with(c("|u1", "(3, 0)"), 0)).starts_with("an array of shape [3, 0]"));
    assert!(error(&with(header("<f4", "True", "(2, 3)"), 24)).contains("in Fortran order"));
    // A vector has one order.
    std::fs::write(&path, with(header("<f4", "True", "(3,)"), 12)).unwrap();
    assert_eq!(ArrayFile::npy(&path).unwrap().rows(), 3);
    assert!(message(ArrayFile::npy(folder.path().join("none.npy"))).contains("none.npy"));

    std::fs::write(&path, [0; 10]).unwrap();
    let raw = |element, shape: &[usize]| RawRows::new(element, Shape::new(shape).unwrap());
    assert!(
        message(raw(ElementType::F32, &[1]).open(&path))
            .contains("10 bytes of data are not a whole number of rows of 4")
    );
    assert!(raw(ElementType::F32, &[1]).header(2).open(&path).is_ok());
    assert!(raw(ElementType::F32, &[1]).record(5, 2).open(&path).is_err());
    assert!(raw(ElementType::F32, &[1]).record(0, u64::MAX).open(&path).is_err());
    assert!(raw(ElementType::U8, &[0]).open(&path).is_err());
    assert_eq!(raw(ElementType::U8, &[1]).header(u64::MAX).open(&path).unwrap().rows(), 0);
    let rows = |count: usize| {
        std::fs::write(&path, vec![0; count]).unwrap();
        raw(ElementType::U8, &[1]).open(&path).unwrap()
    };
    assert!(message(ArraySource::classes(rows(3), rows(4), 2)).starts_with("4 targets were given, but 3 examples"));
    let source = || ArraySource::classes(rows(3), rows(3), 2).unwrap();
    assert!(message(source().with_input(rows(2))).starts_with("input 1 has 2 examples"));
    assert!(message(source().with_weights(rows(2))).starts_with("2 weights were given"));
    let big = with(c(">i2", "(2,)"), 0);
    std::fs::write(&path, [&big[..], &[1, 2, 255, 255]].concat()).unwrap();
    let file = || ArrayFile::npy(&path).unwrap();
    let mut values = SourceBatches::<f64>::sequential(ArraySource::values(file(), file()).unwrap(), 2).unwrap();
    assert_eq!(values.next_batch().unwrap().unwrap().inputs.slice(), [258.0, -1.0]);
    let mut labels = SourceBatches::sequential(ArraySource::classes(file(), file(), 300).unwrap(), 2).unwrap();
    assert!(failure(&mut labels).1.ends_with("element 1 is -1, but labels are whole numbers from 0 to 4294967295"));
}

#[test]
fn a_file_that_changes_between_epochs_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.bin");
    for depth in [0, 2] {
        std::fs::write(&path, [1; 100]).unwrap();
        let file = || RawRows::new(ElementType::U8, [1]).open(&path).unwrap();
        let source = ArraySource::classes(file(), file(), 2).unwrap();
        let mut batches = SourceBatches::<f64>::shuffled(source, 10, Seed(1)).unwrap().prefetch(depth);
        assert_eq!(epoch(&mut batches).len(), 10);
        std::fs::write(&path, [1; 90]).unwrap();
        batches.start_epoch(1);
        let (count, message) = failure(&mut batches);
        assert_eq!(count, 0);
        let expected = format!(
            "`{}`: the file was changed since it was opened (it had 100 bytes then and has 90 now);",
            path.display()
        );
        assert!(message.starts_with(&expected), "{message}");
    }
    // Cut short in the middle of an epoch.
    std::fs::write(&path, [1; 100]).unwrap();
    let file = || RawRows::new(ElementType::U8, [1]).open(&path).unwrap();
    let source = ArraySource::classes(file(), file(), 2).unwrap();
    let mut batches = SourceBatches::<f64>::sequential(source, 10).unwrap();
    batches.next_batch().unwrap();
    std::fs::write(&path, [1; 15]).unwrap();
    let (count, message) = failure(&mut batches);
    assert!(count == 0 && message.contains("(it had 100 bytes then and has 15 now)"), "{count}: {message}");
}
