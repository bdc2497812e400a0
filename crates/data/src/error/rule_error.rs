/// An error of a rule for missing or unseen values, which prints as the rest of a sentence about its column.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// Categories are to be filled with a mean or a median.
    #[error(
        "holds categories, which have no mean or median; give it the rule `Missing::MostFrequent`, `Missing::Constant` \
         or `Missing::Fill`"
    )]
    NoMean,
    /// Numbers are to be filled with a text.
    #[error("can't have its gaps filled with `{text}`, which is not a finite number")]
    NotNumber {
        /// The text.
        text: String,
    },
    /// Dates are to be filled with a text.
    #[error("can't have its gaps filled with `{text}`, which is not a date as in `2024-03-31`")]
    NotDate {
        /// The text.
        text: String,
    },
    /// Dates are written with slashes, and both orders of day and month read them all.
    #[error(
        "holds dates whose day and month can't be told apart; write the year first, as in `2024-03-31`, or read the \
         column as categorical"
    )]
    AmbiguousDates,
    /// An indicator is asked for, but no gap is left to indicate.
    #[error(
        "asks for an indicator, but no rule fills its gaps; give it one, such as `Missing::Fill`, or leave the indicator \
         out"
    )]
    NothingToIndicate,
    /// Ordered categories are to be filled with another.
    #[error("can't have its gaps filled with `{text}`, which is not in its order of categories")]
    NotInOrder {
        /// The text.
        text: String,
    },
    /// Ordered categories have a rule that takes others in.
    #[error(
        "has an order of categories, in which others have no place; leave the rule out, or read the column as categorical"
    )]
    OutOfOrder,
    /// Hashed categories have a rule for unseen ones.
    #[error("is hashed, so that no category is unseen; leave the rule out")]
    NothingUnseen,
    /// Categories are to be hashed into none or too many buckets.
    #[error("can't be hashed into {buckets} buckets; take 1 to {most}")]
    Buckets {
        /// The number of buckets.
        buckets: usize,
        /// The most that there may be.
        most: usize,
    },
    /// Numbers or dates have a rule for unseen categories.
    #[error("holds no categories, so that no value is unseen; leave the rule out")]
    NoCategories,
    /// A target has an indicator or a rule for unseen categories.
    #[error("is a target, which takes neither an indicator nor a rule for unseen values")]
    NotAnInput,
    /// The gaps of a target are to be filled.
    #[error("is a target, whose gaps can't be filled; give it the rule `Missing::Drop`")]
    TargetFilled,
}
