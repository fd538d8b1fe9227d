"""What is in the binaries that are named on the command line, as JSON: read by LIEF, which knows all formats."""

import hashlib
import json
import struct
import sys

import lief

MACHINES = {
    "ARCH.X86_64": "x64",
    "ARCH.AARCH64": "arm64",
    "CPU_TYPE.X86_64": "x64",
    "CPU_TYPE.ARM64": "arm64",
    "MACHINE_TYPES.AMD64": "x64",
    "MACHINE_TYPES.ARM64": "arm64",
}


def read(file):
    binary = lief.parse(file)
    if isinstance(binary, lief.ELF.Binary):
        return elf(binary)
    if isinstance(binary, lief.MachO.Binary):
        return mach_o(binary, file)
    if isinstance(binary, lief.PE.Binary):
        return pe(binary)
    return None


def elf(binary):
    wanted = [aux.name for needed in binary.symbols_version_requirement for aux in needed.get_auxiliary_symbols()]
    return {
        "format": "elf",
        "machine": machine(binary.header.machine_type),
        "libraries": list(binary.libraries),
        "versions": sorted(wanted),
        # LIEF's own lists leave out what has no type, as what nothing is known of.
        "imports": [symbol.name for symbol in binary.dynamic_symbols if symbol.shndx == 0 and symbol.name],
        "exports": [symbol.name for symbol in binary.dynamic_symbols if symbol.shndx != 0 and symbol.name],
    }


def mach_o(binary, file):
    platform = binary.build_version
    return {
        "format": "mach-o",
        "machine": machine(binary.header.cpu_type),
        "libraries": [library.name for library in binary.libraries if library.command != ID],
        "macos": ".".join(str(part) for part in platform.minos[:2]) if platform else None,
        "isSigned": is_signed(binary, file),
        "imports": [bare(symbol.name) for symbol in binary.imported_symbols],
        "exports": [bare(symbol.name) for symbol in binary.exported_symbols],
    }


ID = lief.MachO.LoadCommand.TYPE.ID_DYLIB


def is_signed(binary, file):
    """Whether every page has the hash that the signature has for it: a tool that runs after the linker may change one."""
    if not binary.has_code_signature:
        return False
    with open(file, "rb") as opened:
        content = opened.read()
    signature = content[binary.code_signature.data_offset :]
    (parts,) = struct.unpack_from(">I", signature, 8)
    offsets = [struct.unpack_from(">I", signature, 16 + 8 * part)[0] for part in range(parts)]
    directories = [signature[at:] for at in offsets if signature[at : at + 4] == CODE_DIRECTORY]
    return bool(directories) and all(is_directory_of(content, directory) for directory in directories)


CODE_DIRECTORY = bytes.fromhex("fade0c02")


def is_directory_of(content, directory):
    hashes, _, _, pages, limit = struct.unpack_from(">5I", directory, 16)
    size, kind, _, page_bits = struct.unpack_from("4B", directory, 36)
    if kind != SHA_256:
        return False
    for page in range(pages):
        start = page << page_bits
        data = content[start : min(start + (1 << page_bits), limit)]
        at = hashes + page * size
        if hashlib.sha256(data).digest()[:size] != directory[at : at + size]:
            return False
    return True


SHA_256 = 2


def bare(name):
    """C's names have an underscore in front there."""
    return name[1:] if name.startswith("_") else name


def pe(binary):
    return {
        "format": "pe",
        "machine": machine(binary.header.machine),
        "libraries": [library.name for library in binary.imports],
        "imports": [entry.name for library in binary.imports for entry in library.entries],
        "exports": [entry.name for entry in binary.get_export().entries] if binary.has_exports else [],
    }


def machine(value):
    return MACHINES.get(str(value), str(value))


lief.logging.disable()
json.dump([read(file) for file in sys.argv[1:]], sys.stdout)
