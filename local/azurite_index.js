// Loaded into Azurite before it starts (node --require), so that the cost of a request doesn't depend on how much is
// stored.
//
// Azurite keeps its records of blobs in LokiJS, in memory. Three operations there visit every blob (azurite 3.37.0,
// lokijs 1.5.12; putting and deleting one took 11, 64 and 112 ms at 1,000, 10,000 and 20,000 blobs, and takes 6 now):
// - Azurite queries {accountName, containerName, name}, and LokiJS uses the index of the first property: the account,
//   which all blobs share. With the name first, it uses the index of names.
// - Azurite deletes with findAndRemove, which rebuilds all indexes; so does removing a list, even the empty one of the
//   expired messages, at each call of a queue. Removing the documents one by one updates the indexes.
// - Every five seconds all records are made one text and written, which blocks Azurite meanwhile: 0.3 s at 10,000 blobs,
//   3.3 s at 100,000 (on a busy machine). Here this has a fiftieth of the time; the end writes what is left.
// A query of a table interprets its filter for every row and sorts all that fit. Here it does so only for rows of the
// partitions that the filter names, and reads no partition beyond the one that fills the page.
const path = require("node:path");
const { createRequire } = require("node:module");

const load = createRequire(path.resolve(process.argv[1]));
const Loki = load("lokijs");
const TableStore = load("./table/persistence/LokiTableMetadataStore").default;
const { find, where } = Loki.Resultset.prototype;
const { queryTableEntities } = TableStore.prototype;

const SAVING_SHARE = 50;
const MOST_SELECTIVE_FIRST = ["name", "blobName", "messageId", "RowKey", "containerName", "queueName"];

Loki.Resultset.prototype.find = function (query, firstOnly) {
  const isWhole = (query?.accountName ?? query?.RowKey) !== undefined && Object.keys(query).length > 1;
  return find.call(this, isWhole ? mostSelectiveFirst(query) : query, firstOnly);
};

Loki.prototype.autosaveEnable = function (_, callback) {
  this.autosave = true;
  const save = () => {
    const began = Date.now();
    if (this.autosaveDirty() && !this.ignoreAutosave) this.saveDatabase(callback);
    this.autosaveHandle = setTimeout(save, Math.max(this.autosaveInterval, SAVING_SHARE * (Date.now() - began)));
  };
  this.autosaveHandle = setTimeout(save, this.autosaveInterval);
};

Loki.Collection.prototype.findAndRemove = function (query) {
  this.removeBatch(this.chain().find(query).data());
};

Loki.Collection.prototype.removeBatch = function (documents) {
  for (const document of documents) this.remove(document);
};

// What the next `where` is for: it follows within the same call.
let page;

TableStore.prototype.queryTableEntities = function (context, account, table, options, nextPartition, nextRow) {
  const [first, last] = partitionsOf(options.filter ?? "") ?? [];
  if (first) {
    const from = this.decodeContinuationHeader(nextPartition) ?? first;
    const after = this.decodeContinuationHeader(nextRow) ?? "";
    page = { from, after, to: last, most: this.getMaxResultsOption(options) };
  }
  try {
    return queryTableEntities.call(this, context, account, table, options, nextPartition, nextRow);
  } finally {
    page = undefined;
  }
};

Loki.Resultset.prototype.where = function (test, ...more) {
  if (page === undefined) return where.call(this, test, ...more);
  const { from, after, to, most } = page;
  page = undefined;
  this.find({ PartitionKey: { $between: [from, to] } });
  const found = [];
  let partition;
  // In the order of the index, which is that of partitions.
  for (const position of this.filteredrows) {
    const row = this.collection.data[position];
    if (row.PartitionKey !== partition && found.length > most) break;
    partition = row.PartitionKey;
    if ((partition !== from || row.RowKey >= after) && test(row)) found.push(position);
  }
  this.filteredrows = found;
  return this;
};

// The first and the last partition that a filter allows; undefined if it isn't a plain conjunction that says both.
function partitionsOf(filter) {
  const texts = [];
  const plain = filter.replace(/'((?:[^']|'')*)'/g, (_, text) => `'${texts.push(text.replaceAll("''", "'")) - 1}'`);
  if (/\b(or|not)\b|\(/.test(plain)) return undefined;
  const given = (operator) => {
    const [, number] = new RegExp(`PartitionKey ${operator} '(\\d+)'`).exec(plain) ?? [];
    // LokiJS sorts what looks like a number by its value.
    return isNaN(texts[number]) ? texts[number] : undefined;
  };
  const one = given("eq");
  const bounds = [one ?? given("ge"), one ?? given("le")];
  return bounds.includes(undefined) ? undefined : bounds;
}

function mostSelectiveFirst(query) {
  const first = MOST_SELECTIVE_FIRST.filter((property) => query[property] != null && !query[property].$regex);
  const names = [...first, ...Object.keys(query).filter((property) => !first.includes(property))];
  const conditions = names.map((property) => ({ [property]: query[property] }));
  // A prefix is sent as a pattern, which can't use an index: the range of names with this prefix is queried first.
  const prefix = prefixOf(query.name?.$regex);
  return { $and: prefix === undefined ? conditions : [{ name: { $between: [prefix, `${prefix}\uffff`] } }, ...conditions] };
}

function prefixOf(pattern) {
  const found = /^\^((?:[^\\^$.|?*+()[\]{}]|\\.)+)$/.exec(pattern ?? "");
  const prefix = found?.[1].replace(/\\(.)/g, "$1");
  // LokiJS sorts text that looks like a number before all other text; text with a slash never does.
  return prefix?.includes("/") ? prefix : undefined;
}
