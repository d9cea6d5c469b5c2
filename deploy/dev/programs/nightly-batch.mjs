// Works for three seconds and ends with exit code 0: a job, not a service.
const STEPS = ['collect', 'sort', 'write'];

STEPS.forEach((step, index) => {
  setTimeout(() => console.log(`nightly-batch: ${step} done`), 1000 * (index + 1));
});
