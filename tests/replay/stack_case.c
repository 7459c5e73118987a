/* SPDX-License-Identifier: Apache-2.0 */
/* See stack_case.h. */
#include "stack_case.h"

#include "base/file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#if defined(__x86_64__)
#define MACHINE "x86_64"
#else
#define MACHINE "aarch64"
#endif

#define MAX_CASE (16UL << 20) /* bytes */

struct reading {
	struct stack_case *stack_case;
	/* Rules of the file named last. */
	ARRAY(struct world_rule) rules;
	size_t rules_of;
	bool machine_seen;
};

void stack_case_free(struct stack_case *c)
{
	for (size_t i = 0; i < c->memory.count; i++)
		free(c->memory.items[i].bytes);
	array_free(&c->memory);
	world_free(&c->world);
}

int stack_case_read_user(void *userdata, void *to, u64 size, u64 address)
{
	const struct stack_case *c = userdata;
	for (size_t i = 0; i < c->memory.count; i++) {
		const struct case_memory *m = &c->memory.items[i];
		if (address - m->address <= m->size && size <= m->size - (address - m->address)) {
			memcpy(to, m->bytes + (address - m->address), size);
			return 0;
		}
	}
	return -1;
}

int stack_case_add_memory(struct stack_case *c, uint64_t address, const void *bytes, size_t size)
{
	struct case_memory m = {address, size, malloc(size)};
	if (!m.bytes)
		return -ENOMEM;
	memcpy(m.bytes, bytes, size);
	int r = array_add(&c->memory, m);
	if (r < 0)
		free(m.bytes);
	return r;
}

static int read_words(char *text, u64 *words, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char *end;
		words[i] = strtoull(text, &end, 16);
		if (end == text)
			return -EBADMSG;
		text = end;
	}
	return 0;
}

static int read_file_line(struct stack_case *c, const char *text)
{
	size_t number;
	char name[256];
	if (sscanf(text, "%zx %255s", &number, name) != 2 || number != c->world.files.count)
		return -EBADMSG;
	return world_file(&c->world, name) ? 0 : -ENOMEM;
}

static int read_mapping_line(struct stack_case *c, const char *text)
{
	unsigned long long start, end, offset;
	char executable, file[17];
	if (sscanf(text, "%llx %llx %llx %c %16s", &start, &end, &offset, &executable, file) != 5 ||
	    start >= end)
		return -EBADMSG;
	size_t number = strtoul(file, NULL, 16);
	if (file[0] != '-' && number >= c->world.files.count)
		return -EBADMSG;
	return world_add_mapping(&c->world, start, end, offset, executable == 'x',
				 file[0] == '-' ? NULL : &c->world.files.items[number]);
}

static int finish_rules(struct reading *reading)
{
	struct world *world = &reading->stack_case->world;
	if (!reading->rules.count)
		return 0;
	if (reading->rules_of >= world->files.count)
		return -EBADMSG;
	int r = world_add_rules(world, &world->files.items[reading->rules_of], reading->rules.items,
				reading->rules.count);
	reading->rules.count = 0;
	return r;
}

static int read_rule_line(struct reading *reading, const char *text)
{
	unsigned long long offset;
	size_t number;
	unsigned kind, flags;
	int fp_offset, cfa_offset, r = 0;
	if (sscanf(text, "%zx %llx %x %x %d %d", &number, &offset, &kind, &flags, &fp_offset,
		   &cfa_offset) != 6)
		return -EBADMSG;
	if (number != reading->rules_of)
		r = finish_rules(reading);
	reading->rules_of = number;
	struct world_rule rule = {offset, {kind, flags, fp_offset, cfa_offset}};
	return r < 0 ? r : array_add(&reading->rules, rule);
}

static int read_memory_line(struct stack_case *c, char *text)
{
	char *hex;
	uint64_t address = strtoull(text, &hex, 16);
	hex += strspn(hex, " ");
	size_t size = strlen(hex) / 2;
	unsigned char *bytes = (unsigned char *)text; /* shorter than what it is read from */
	for (size_t i = 0; i < size; i++) {
		char digits[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
		bytes[i] = strtoul(digits, NULL, 16);
	}
	return size ? stack_case_add_memory(c, address, bytes, size) : -EBADMSG;
}

static int read_line(struct reading *reading, char *line)
{
	struct stack_case *c = reading->stack_case;
	char *rest = strchr(line, ' ');
	if (line[0] == '#' || !rest)
		return line[0] == '#' || !line[0] ? 0 : -EBADMSG;
	*rest++ = '\0';
	if (!strcmp(line, "machine")) {
		reading->machine_seen = true;
		return strcmp(rest, MACHINE) ? -ENOTSUP : 0;
	}
	if (!strcmp(line, "registers"))
		return read_words(rest, c->registers, REPLAY_REGISTERS);
	if (!strcmp(line, "file"))
		return read_file_line(c, rest);
	if (!strcmp(line, "mapping"))
		return read_mapping_line(c, rest);
	if (!strcmp(line, "rule"))
		return read_rule_line(reading, rest);
	if (!strcmp(line, "memory"))
		return read_memory_line(c, rest);
	if (!strcmp(line, "end"))
		return sscanf(rest, "%u", &c->expected.end) == 1 ? 0 : -EBADMSG;
	if (!strcmp(line, "frame") && c->expected.count < ARRAY_LENGTH(c->expected.frames))
		return read_words(rest, &c->expected.frames[c->expected.count++], 1);
	return -EBADMSG;
}

int stack_case_read(struct stack_case *c, const char *path)
{
	struct reading reading = {.stack_case = c};
	_cleanup_free_ char *bytes = NULL;
	*c = (struct stack_case){0};
	int r = read_whole_file(path, MAX_CASE, &bytes, NULL);
	char *text = bytes;
	for (char *line; r == 0 && (line = strsep(&text, "\n"));)
		r = read_line(&reading, line);
	if (r == 0)
		r = finish_rules(&reading);
	if (r == 0 && !reading.machine_seen)
		r = -EBADMSG;
	array_free(&reading.rules);
	c->world.replay.read_user = stack_case_read_user;
	c->world.replay.userdata = c;
	return r;
}

/* ---- Writing ----------------------------------------------------------------------------------- */

static size_t file_of(const struct world *world, const struct replay_mapping *mapping)
{
	for (size_t i = 0; i < world->files.count; i++)
		if (!memcmp(&world->files.items[i].binary.key, &mapping->key, sizeof(mapping->key)))
			return i;
	return world->files.count;
}

static void write_mapping(const struct world *world, const struct replay_mapping *m, struct text *t)
{
	text_add(t, "mapping %llx %llx %llx %c ", (unsigned long long)m->start,
		 (unsigned long long)m->end, (unsigned long long)m->offset,
		 m->executable ? 'x' : '-');
	if (m->has_file || m->is_vdso)
		text_add(t, "%zx\n", file_of(world, m));
	else
		text_add(t, "-\n");
}

/* All rules of one page of code. */
static void write_page(const struct world_file *file, size_t number, uint64_t page, struct text *t)
{
	struct unwind_rule last = {.kind = RULE_KIND_MAX};
	for (uint64_t offset = page; offset < page + UNWIND_PAGE_SIZE; offset++) {
		struct unwind_rule rule = world_rule_at(file, offset);
		if (!memcmp(&rule, &last, sizeof(rule)))
			continue;
		last = rule;
		text_add(t, "rule %zx %llx %x %x %d %d\n", number, (unsigned long long)offset,
			 rule.kind, rule.flags, rule.fp_offset, rule.cfa_offset);
	}
}

/* The least page of a file's frames that is above `after`, or UINT64_MAX. */
static uint64_t next_page(const struct stack_case *c, uint32_t slot, int64_t after)
{
	uint64_t least = UINT64_MAX;
	for (u32 i = 0; i < c->expected.count; i++) {
		uint64_t word = c->expected.frames[i];
		uint64_t page = word & FRAME_OFFSET_MASK & ~(uint64_t)(UNWIND_PAGE_SIZE - 1);
		if (word >> FRAME_OFFSET_BITS == slot && (int64_t)page > after)
			least = MIN_OF(least, page);
	}
	return least;
}

static void write_memory(const struct case_memory *m, struct text *t)
{
	text_add(t, "memory %llx ", (unsigned long long)m->address);
	for (size_t i = 0; i < m->size; i++)
		text_add(t, "%02x", m->bytes[i]);
	text_add(t, "\n");
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

void stack_case_write(const struct stack_case *c, const struct world *world, struct text *t)
{
	text_add(t, "machine %s\nregisters", MACHINE);
	for (size_t i = 0; i < REPLAY_REGISTERS; i++)
		text_add(t, " %llx", (unsigned long long)c->registers[i]);
	text_add(t, "\n");
	for (size_t i = 0; i < world->files.count; i++)
		text_add(t, "file %zx %s\n", i, base_name(world->files.items[i].name));
	for (size_t i = 0; i < world->mappings.count; i++)
		write_mapping(world, &world->mappings.items[i], t);
	for (size_t i = 0; i < world->files.count; i++) {
		const struct world_file *file = &world->files.items[i];
		uint64_t page;
		for (int64_t after = -1;
		     (page = next_page(c, file->binary.entry.slot, after)) != UINT64_MAX;
		     after = (int64_t)page)
			write_page(file, i, page, t);
	}
	for (size_t i = 0; i < c->memory.count; i++)
		write_memory(&c->memory.items[i], t);
	for (u32 i = 0; i < c->expected.count; i++)
		text_add(t, "frame %llx\n", (unsigned long long)c->expected.frames[i]);
	text_add(t, "end %u\n", c->expected.end);
}
