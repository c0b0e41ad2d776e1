// SPDX-License-Identifier: BSD-3-Clause
//
// What a command of `weft` is: one entry of the table in commands.cc. The parser, the help and the "did you
// mean" all read the same entry, so that a command is added in one place.
#pragma once

#include <iosfwd>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace weft::tools {

/// An argument known by its place.
struct Positional {
  enum class Count { kOne, kOptional, kMany };
  const char* name;  // as help shows it: "NET"
  const char* help;
  Count count = Count::kOne;
};

/// An argument known by its name.
struct Option {
  const char* name;   // without the dashes
  const char* value;  // what help calls its value; nullptr: a flag
  const char* help;
};

/// What was given, by the names of Positional and Option.
class Arguments {
 public:
  void add(const std::string& name, std::string value) { values_[name].push_back(std::move(value)); }
  [[nodiscard]] bool has(const std::string& name) const { return values_.contains(name); }
  /// The (first) value; empty when it was not given.
  [[nodiscard]] std::string get(const std::string& name) const;
  [[nodiscard]] const std::vector<std::string>& all(const std::string& name) const;

 private:
  std::map<std::string, std::vector<std::string>> values_;
};

struct Command {
  const char* name;
  const char* group;    // heading in `weft --help`
  const char* summary;  // half a line
  std::vector<Positional> positionals;
  std::vector<Option> options;
  const char* details;  // shown by `weft COMMAND --help` only; may be empty

  /// Asks the switch: the request's `args` (throws Failure for a wrong combination), and the result in words.
  nlohmann::json (*request)(const Arguments&) = nullptr;
  std::string (*print)(const nlohmann::json& result) = nullptr;
  /// Or does its work itself, without a switch; returns the exit code.
  int (*run)(const Arguments&, std::ostream& out, std::ostream& err) = nullptr;
  /// Or is another program, which gets all words after the command as they are.
  bool is_another_program = false;
};

/// All commands of this version, in the order help shows them.
[[nodiscard]] std::span<const Command> commands();

/// The entry of that name, or nullptr.
[[nodiscard]] const Command* find_command(std::string_view name);

/// A command of the contract that this version does not have yet.
[[nodiscard]] bool is_future_command(std::string_view name);

/// The known command that `name` was probably meant to be; empty when none is near.
[[nodiscard]] std::string_view nearest_command(std::string_view name);

/// `weft import FILE.xml…`: libvirt's <network> XML to YAML on `out`. See import.cc.
int run_import(const Arguments& arguments, std::ostream& out, std::ostream& err);

}  // namespace weft::tools
