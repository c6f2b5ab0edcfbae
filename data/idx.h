// The IDX file format of the MNIST database (LeCun, Cortes and Burges): a big-endian header - two zero bytes, the
// element type, the number of axes, the extents - and then the elements in row-major order.
#pragma once

#include <string>

#include "core/tensor.h"

namespace mixgrad::data {

// An IDX file of unsigned bytes with `rank` axes, as u8; also gzip-compressed. Throws an error that names the file when
// it is missing, of another type or rank, truncated, too long, damaged, or claims more elements than it holds. Whatever
// the header claims, no more memory is allocated than the file can fill: its size, or 1032 times that if it is
// compressed.
Tensor read_idx(const std::string& path, int rank);

}  // namespace mixgrad::data
