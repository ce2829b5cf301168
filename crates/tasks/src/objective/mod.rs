//! The unsupervised objectives of the T5 paper (Raffel et al. 2020, section 3.3) and of its successors: what is made of
//! a text's tokens.
