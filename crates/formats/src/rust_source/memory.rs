//! Which buffer each value lies in: values that are never needed at the same time share one.

/// Where a value lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// An input of the network, by its index.
    Input(usize),
    /// The prediction.
    Output,
    /// A buffer of the workspace, by its index.
    Buffer(usize),
}

/// A value, or space that a layer works in: how many numbers, and from which stage to which it is needed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stay {
    pub(super) numbers: usize,
    pub(super) first: usize,
    pub(super) last: usize,
    /// `None` if it is to be put in a buffer.
    pub(super) place: Option<Place>,
}

/// Finds a buffer for each stay that has no place, and returns the places and the length of each buffer.
pub(super) fn plan(stays: &[Stay]) -> (Vec<Place>, Vec<usize>) {
    // The length of each buffer, and the stage after which it is free.
    let mut buffers: Vec<(usize, usize)> = Vec::new();
    let mut places: Vec<Place> = stays.iter().map(|stay| stay.place.unwrap_or(Place::Output)).collect();
    let mut order: Vec<usize> = (0..stays.len()).collect();
    // The largest of a stage first, so that the others take what is left.
    order.sort_by_key(|&index| stays.get(index).map(|stay| (stay.first, usize::MAX - stay.numbers)));
    for index in order {
        let (Some(stay), Some(place)) = (stays.get(index), places.get_mut(index)) else { continue };
        if stay.place.is_some() {
            continue;
        }
        // The free buffer that is just large enough, or else the largest, which grows.
        let free = buffers.iter_mut().enumerate().filter(|(_, (_, busy))| *busy < stay.first);
        let best = free.min_by_key(|(_, (length, _))| match *length >= stay.numbers {
            true => (0, *length),
            false => (1, usize::MAX - *length),
        });
        if let Some((buffer, (length, busy))) = best {
            (*length, *busy) = ((*length).max(stay.numbers), stay.last);
            *place = Place::Buffer(buffer);
        } else {
            *place = Place::Buffer(buffers.len());
            buffers.push((stay.numbers, stay.last));
        }
    }
    (places, buffers.into_iter().map(|(length, _)| length).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stay(numbers: usize, first: usize, last: usize) -> Stay {
        Stay { numbers, first, last, place: None }
    }

    #[test]
    fn values_that_never_meet_share_a_buffer() {
        let chain = [stay(8, 0, 1), stay(6, 1, 2), stay(4, 2, 3), stay(5, 3, 3)];
        let (places, buffers) = plan(&chain);
        assert_eq!(places, [0, 1, 0, 1].map(Place::Buffer));
        assert_eq!(buffers, [8, 6]);
    }

    #[test]
    fn values_that_meet_lie_apart() {
        let residual = [stay(4, 0, 3), stay(4, 1, 2), stay(4, 2, 3)];
        let (places, buffers) = plan(&residual);
        assert_eq!(places, [0, 1, 2].map(Place::Buffer));
        assert_eq!(buffers, [4, 4, 4]);
    }
}
