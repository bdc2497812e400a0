//! NPY files that are damaged, and how much memory they take.

use downhill_data::npy;
use ndarray::{Array, Array2};

use crate::damage::{bounded, damaged};

fn file(array: &Array2<f32>) -> Vec<u8> {
    let mut bytes = Vec::new();
    npy::write(&mut bytes, array).unwrap();
    bytes
}

fn fortran(mut bytes: Vec<u8>) -> Vec<u8> {
    let place = bytes.windows(5).position(|window| window == b"False").unwrap();
    bytes[place..place + 5].copy_from_slice(b"True ");
    bytes
}

#[test]
fn damaged_arrays_never_panic_and_take_no_more_memory_than_twice_the_file() {
    let whole = file(&Array::from_shape_fn((3, 5), |(row, column)| (row * 5 + column) as f32));
    let header = whole.len() - 4 * 15;
    let mut read = 0;
    for (seed, whole) in [whole.clone(), fortran(whole.clone()), whole[..header].to_vec()].into_iter().enumerate() {
        damaged(&whole, 3000, seed as u64, |bytes| {
            if let Ok(array) = npy::read(bytes) {
                read += 1;
                let _ = (array.to_array::<f32>(), array.to_labels());
            }
        });
    }
    assert!((100..8900).contains(&read), "{read} of 9000 were read");
}

#[test]
fn a_large_array_is_held_twice_at_most_while_it_is_read() {
    let whole = file(&Array::zeros((3 << 10, 2 << 10)));
    for bytes in [whole.clone(), fortran(whole.clone())] {
        bounded(bytes.len(), || assert_eq!(npy::read(&bytes[..]).unwrap().shape(), [3 << 10, 2 << 10]));
        let cut = &bytes[..bytes.len() - 1];
        bounded(cut.len(), || assert!(npy::read(cut).is_err()));
    }
}
