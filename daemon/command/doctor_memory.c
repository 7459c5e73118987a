/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files that a process executes, read by the parser child like all foreign bytes. A file that is mapped in
 * several pieces is read once.
 */
#include "command/doctor_memory.h"

#include "base/file.h"
#include "base/loop.h"
#include "binary/parser.h"
#include "process/proc_text.h"
#include "process/process_open.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MAPS_LIMIT (64UL << 20)
#define PARSER_TIMEOUT_NS 60000000000ULL

struct reading {
	struct doctor_memory *memory;
	struct parser *parser;
	struct loop *loop;
	ARRAY(struct request *) requests;
	ARRAY(uint64_t) inodes;
};

/* One file that the child was asked about. */
struct request {
	struct reading *reading;
	char *path;
	int file;
};

static void request_free(struct request *request)
{
	close_fd(request->file);
	free(request->path);
	free(request);
}

static void on_answer(void *userdata, int error, const struct artifact *artifact)
{
	struct request *request = userdata;
	struct doctor_memory *memory = request->reading->memory;
	struct memory_file file = {.first_count = memory->probe_count};
	struct artifact copy;
	if (!artifact) {
		memory->unread++;
		return;
	}
	text_add_bytes(&file.bytes, artifact->bytes, artifact->size);
	copy = (struct artifact){.bytes = file.bytes.bytes, .size = file.bytes.length};
	if (file.bytes.failed || allocator_table_open(&copy, &file.table) < 0 ||
	    array_add(&memory->files, file) < 0) {
		text_free(&file.bytes);
		return;
	}
	struct memory_file *kept = &memory->files.items[memory->files.count - 1];
	kept->path = take_pointer(request->path);
	kept->file = take_fd(request->file);
	memory->probe_count += (uint32_t)kept->table.probe_count;
}

/* Runtimes that give out memory themselves, by what their files are called. */
static const char *runtime_of(const char *path)
{
	static const struct {
		const char *file, *runtime;
	} known[] = {
		{"libjvm.so", "Java (HotSpot)"}, {"libcoreclr.so", ".NET"}, {"libpython", "CPython"},
		{"python3", "CPython"},		 {"libruby", "Ruby"},	    {"node", "Node.js (V8)"},
	};
	const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	for (size_t i = 0; i < ARRAY_LENGTH(known); i++)
		if (!strncmp(name, known[i].file, strlen(known[i].file)))
			return known[i].runtime;
	return NULL;
}

static bool is_new(struct reading *reading, uint64_t inode)
{
	for (size_t i = 0; i < reading->inodes.count; i++)
		if (reading->inodes.items[i] == inode)
			return false;
	return array_add(&reading->inodes, inode) == 0;
}

static int request_mapping(struct reading *reading, const struct maps_line *line)
{
	struct request *request = calloc(1, sizeof(*request));
	if (!request)
		return -ENOMEM;
	*request = (struct request){.reading = reading, .file = -1};
	request->path = strndup(line->path.bytes, line->path.length);
	if (!request->path || array_add(&reading->requests, request) < 0) {
		request_free(request);
		return -ENOMEM;
	}
	request->path[maps_path_unescape(request->path, line->path.length)] = '\0';
	if (!reading->memory->runtime)
		reading->memory->runtime = runtime_of(request->path);
	request->file = process_open_mapping("/proc", reading->memory->pid, line->start, line->end,
					     request->path);
	if (request->file < 0 || parser_request_allocators(reading->parser, request->file, PARSER_SOON,
						       on_answer, request) < 0)
		reading->memory->unread++;
	return 0;
}

static int request_mappings(struct reading *reading, const char *maps, size_t size)
{
	struct slice rest = {maps, size}, text;
	struct maps_line line;
	int r = 0;
	while (r == 0 && slice_next_line(&rest, &text))
		if (maps_line_parse(text, &line) == 0 && line.executable && line.inode &&
		    is_new(reading, line.inode ^ (uint64_t)line.device << 40))
			r = request_mapping(reading, &line);
	return r;
}

static int read_files(struct reading *reading)
{
	char path[64];
	_cleanup_free_ char *maps = NULL;
	size_t size;
	snprintf(path, sizeof(path), "/proc/%u/maps", reading->memory->pid);
	int r = read_whole_file(path, MAPS_LIMIT, &maps, &size);
	if (r < 0)
		return r == -ENOENT ? -ESRCH : r;
	r = loop_new(&reading->loop);
	if (r == 0)
		r = parser_new(reading->loop, NULL, &reading->parser);
	if (r == 0)
		r = request_mappings(reading, maps, size);
	return r < 0 ? r : parser_drain(reading->parser, PARSER_TIMEOUT_NS);
}

int doctor_memory_read(uint32_t pid, struct doctor_memory *ret)
{
	char path[64];
	_cleanup_free_ char *comm = NULL;
	size_t size;
	*ret = (struct doctor_memory){.pid = pid, .cost_share = -1};
	snprintf(path, sizeof(path), "/proc/%u/comm", pid);
	if (read_whole_file(path, 64, &comm, &size) == 0)
		snprintf(ret->comm, sizeof(ret->comm), "%.*s", (int)strcspn(comm, "\n"), comm);
	struct reading reading = {.memory = ret};
	int r = read_files(&reading);
	parser_free(reading.parser);
	loop_free(reading.loop);
	for (size_t i = 0; i < reading.requests.count; i++)
		request_free(reading.requests.items[i]);
	array_free(&reading.requests);
	array_free(&reading.inodes);
	if (r == 0)
		uprobe_trials_run(&ret->trials);
	return r;
}

void doctor_memory_free(struct doctor_memory *memory)
{
	for (size_t i = 0; i < memory->files.count; i++) {
		close_fd(memory->files.items[i].file);
		free(memory->files.items[i].path);
		text_free(&memory->files.items[i].bytes);
	}
	array_free(&memory->files);
	free(memory->counts);
	memory->counts = NULL;
}
