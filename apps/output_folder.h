// The folder of --out: metrics.csv, pictures and checkpoints. One process at a time writes to it.
#pragma once

#include <set>
#include <string>

#include "apps/program.h"
#include "apps/run_options.h"

namespace mixgrad::apps {

inline constexpr const char* lr_picture = "lr_find.png";

// The path of a file in the folder.
std::string in_output(const RunOptions& options, const std::string& name);
std::string checkpoint_path(const RunOptions& options, const std::string& run, std::uint64_t seed);

// Creates the folder, unless it exists, and locks it until this process ends. Throws, with the reason, when the folder
// can't be created or written, or another process has locked it.
void take_folder(const std::string& path);

// Prints the names of the results in the folder that are neither this run's own, by name, nor among these files.
void name_leftovers(const std::string& folder, const std::set<std::string>& own, const std::set<std::string>& files);

// For a run that trains: takes the folder, removes the pictures of an earlier training and lists what else it left, but
// for the checkpoints to resume from, --save, and the files in use. Returns the path of metrics.csv, which has been
// checked to be writable; its content is replaced only when training begins.
std::string start_output_folder(const RunOptions& options, const std::set<std::string>& checkpoints,
                                std::set<std::string> files = {});

// Draws a picture and says so.
template <class Write, class... Content>
void announce(Write write, const std::string& png, const Content&... content) {
  if (write(png, content...)) print_line("wrote ", png);
  else print_line("skipped: the picture ", png, " (install the package gnuplot-nox)");
}

}  // namespace mixgrad::apps
