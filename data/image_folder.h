// Images in folders, one folder for each class.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/data_loader.h"
#include "data/image_dataset.h"
#include "data/image_file.h"

namespace mixgrad::data {

// Common names of the two parts' folders; the first one that exists is used.
inline constexpr const char* train_folders[] = {"train", "training"};
inline constexpr const char* valid_folders[] = {"valid", "validation", "val", "test", "testing"};

struct FolderOptions {
  std::int64_t batch_size = 64;
  std::int64_t channels = 3;            // 1 or 3; grey is copied, colour becomes grey
  std::uint64_t seed = default_seed();  // of the shuffle and of the split
  double valid_fraction = 0.2;          // of the images, for a folder without train/ and valid/
  bool in_memory = true;                // decode all images once and keep their bytes; or else decode on demand
  int workers = 0;                      // threads that prefetch batches; useful without in_memory
  std::string train = {}, valid = {};   // the folders of the two parts in path; empty: by the names above
  std::int64_t max_pixels = ImageFileOptions{}.max_pixels;  // of one image
};

// Loaders over PNG and JPEG files in class folders: fastai's layout
//
//   path/train/3/00007.png   path/train/7/00015.png   path/valid/3/00018.png   ...
//
// or with other names for train/ and valid/: those of the options, or the first of train_folders and valid_folders that
// exists. If path has none of them, class folders are directly in path, and a random part of their images is held out
// for validation: the first valid_fraction of the permutation Random(seed, Purpose::split), at least one.
//
// x is f32 [N, H, W, channels] in [0, 1], y i32 [N]. The classes are the sorted names of train's class folders. The
// samples are sorted by file name first and then by class, bytewise; training is shuffled and drops a last short batch,
// validation is in order and keeps it.
//
// Throws one line naming the folder or file at fault: a class folder that is empty, or that only one of train and valid
// has; anything in a class folder that is not a readable image (read_image), or beside class folders that is not a
// folder; the first image whose size differs from train's first, with both sizes. Hidden files (.name) are ignored.
// Without in_memory, files are opened on demand, so a bad one is found only then; the text ends with its sample index.
DataLoaders from_folder(const std::string& path, const FolderOptions& options = {});

// Writes the images as such a tree of PNG files, path/train/<class>/<number>.png and path/valid/..., numbered from zero
// and zero-padded to equal width, so that from_folder returns them in the same order.
//
// The tree appears whole or not at all: it is written as path.part and then renamed; an interrupted program leaves
// path.part behind. Throws an error that names the folder when it is not empty, path.part exists, or it cannot be
// written; and on a label that is not a class.
void write_image_folder(const std::string& path, const LabelledImages& train, const LabelledImages& valid,
                        const std::vector<std::string>& classes);

}  // namespace mixgrad::data
