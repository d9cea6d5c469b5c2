// Takes a job every few seconds and says so; on SIGTERM it finishes the one it has. Usage: node worker.mjs NUMBER
const [number] = process.argv.slice(2);
let job = 0;
let isStopping = false;

function work() {
  if (isStopping) {
    console.log(`worker ${number}: stopping after ${job} jobs`);
    process.exit(0);
  }
  job += 1;
  console.log(`worker ${number}: job ${job} done`);
  setTimeout(work, 1500 + 700 * (job % 4));
}

process.on('SIGTERM', () => {
  isStopping = true;
  setTimeout(work, 200);
});
work();
