// Runs well for about 45 seconds and then crashes, for ever: what supervision is for.
const LIFE_MS = 45_000;

let beats = 0;
setInterval(() => console.log(`flaky: still fine, beat ${(beats += 1)}`), 5000);
setTimeout(
  () => {
    throw new Error('the connection pool is empty (this crash is part of the demo)');
  },
  LIFE_MS + Math.random() * 5000,
);
console.log('flaky: started');
