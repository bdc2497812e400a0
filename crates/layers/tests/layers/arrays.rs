//! Named arrays in one flat slice.

use downhill_layers::{Arrays, ArraysMut, Extent, Layout};

fn layout() -> Layout {
    let mut layout = Layout::new();
    layout.push("mean", [3], Extent::PerBatch);
    layout.push("mask", [2, 2], Extent::PerExample);
    layout.push("count", [], Extent::PerBatch);
    layout.push("slope", [], Extent::PerExample);
    layout
}

#[test]
fn arrays_lie_one_after_the_other_for_any_number_of_examples() {
    let layout = layout();
    for examples in 0..4 {
        let mut flat: Vec<usize> = (0..layout.len(examples)).collect();
        assert_eq!(flat.len(), 4 + 5 * examples);
        let mut next = 0;
        for (index, array) in layout.arrays().iter().enumerate() {
            let numbers = Arrays::new(&flat, &layout, examples).vector(index);
            assert_eq!(numbers, (next..next + array.len(examples)).collect::<Vec<_>>());
            next += numbers.len();
        }
        assert_eq!(next, flat.len());
        let arrays = Arrays::new(&flat, &layout, examples);
        let [mean, mask, count, slope] = arrays.vectors();
        let copies = [mean.to_vec(), mask.to_vec(), count.to_vec(), slope.to_vec()];
        assert_eq!(arrays.matrix(1).dim(), (2 * examples, 2));
        assert_eq!(arrays.matrix(3).dim(), (examples, 1));
        let mut arrays = ArraysMut::new(&mut flat, &layout, examples);
        assert_eq!(arrays.vectors::<4>().map(|array| array.to_vec()), copies);
        let [count, slope] = arrays.vectors_from(2);
        assert_eq!((count.to_vec(), slope.to_vec()), (copies[2].clone(), copies[3].clone()));
        assert_eq!(arrays.matrix(0).dim(), (1, 3));
    }
}

#[test]
fn a_length_that_can_not_be_counted_is_the_largest() {
    let mut layout = layout();
    layout.push("huge", [usize::MAX], Extent::PerExample);
    assert_eq!((layout.len(0), layout.len(1), layout.len(2)), (4, usize::MAX, usize::MAX));
}
