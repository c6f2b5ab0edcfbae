// The safetensors file format (Hugging Face, https://github.com/huggingface/safetensors): named tensors that any
// framework reads. A file is the length of its header in 8 little-endian bytes; the header, a JSON object that may be
// padded with blanks,
//   {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ..., "__metadata__": {"key": "text"}}
// and the elements of all tensors in row-major order.
//
// The format has no checksum. Files written here have one in their metadata, under "mixgrad.xxh64", which other readers
// ignore: the sum over all tensors, modulo 2^64, of XXH64(elements, XXH64("name dtype[extents]")), as in "bias F32[2,
// 3]", in 16 hexadecimal digits; the inner hash is the seed of the outer one. It depends neither on the order of
// tensors nor on other metadata.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/tensor.h"

namespace mixgrad {

struct SafeTensors {
  std::vector<NamedTensor> tensors;             // in the order of the header
  std::map<std::string, std::string> metadata;  // without the checksum
};

// Reads a whole file; F32, F64, I32 and U8 become f32, f64, i32 and u8. Other types are converted: F16
// and BF16 f32; I8, I16, I64, U16, U32 and U64 i32; BOOL u8. Throws an error that names the file, and the tensor at
// fault, when the file is missing, truncated or too long, does not match the checksum it gives, if any, has a header
// that is damaged or contains anything else than the above, a tensor of another dtype, of more than six axes, or of a
// size other than its offsets', an integer that i32 can't hold, or offsets that overlap or leave a gap. Whatever the
// header claims, no more memory is taken than a few times the file's size.
SafeTensors read_safetensors(const std::string& path);

// Replaces the file whole or not at all (core/files.h). The header lists the tensors in the order given; the
// data begins at a multiple of 64 bytes, and the widest elements come first, so that every tensor is aligned.
// Throws an error that names the file when it can't be written, and the tensor when it is undefined, its name is taken,
// reserved ("__metadata__") or not UTF-8.
void write_safetensors(const std::string& path, const std::vector<NamedTensor>& tensors,
                       std::map<std::string, std::string> metadata = {});

}  // namespace mixgrad
