// Sends each request to the colour that the key value store names. Runtime: cloudfront-js-2.0, which knows ECMAScript 5.1 and
// a few things since: no destructuring, no for-of, no classes, and await only as a statement of its own.
//
// The keys are written by infrastructure/aws/cloudfront.py, in one call: active, weights, generation, origin.COLOUR.

import cf from 'cloudfront';

// Where traffic went at the last apply: for as long as the store gives no usable answer.
const LAST_KNOWN = ${last_known};

const COLOURS = ['blue', 'green'];
const PIN = 'bg_track';
const HOST = /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/;
const NUMBER = /^[0-9]+$/;

const store = cf.kvs();

async function handler(event) {
    const request = event.request;
    const route = await findRoute(request.cookies[PIN]);

    // Host itself cannot be written here: CloudFront would answer 502. The origin's own is set below.
    request.headers['x-forwarded-host'] = { value: request.headers.host.value };
    // For the viewer-response function, which hands them to the viewer.
    request.headers['x-bg-color'] = { value: route.colour };
    request.headers['x-bg-generation'] = { value: route.generation };
    if (route.split) {
        request.headers['x-bg-pin'] = { value: route.generation + '-' + route.colour };
    } else {
        delete request.headers['x-bg-pin'];
    }
    cf.updateRequestOrigin({ domainName: route.host, hostHeader: route.host });
    return request;
}

// The colour for this request: its host, the generation of the routes, and whether traffic is split between the colours.
async function findRoute(pin) {
    const active = await read('active');
    const generation = await read('generation');
    const text = await read('weights');
    const weights = parseWeights(text);
    if (COLOURS.indexOf(active) < 0 || !NUMBER.test(generation) || weights === null) {
        return LAST_KNOWN;
    }
    const other = active === 'blue' ? 'green' : 'blue';
    const share = weights[other];
    const colour = draw(active, other, share, generation, pin);
    const host = await read('origin.' + colour);
    if (!HOST.test(host)) {
        return LAST_KNOWN;
    }
    return { colour: colour, host: host, generation: generation, split: share > 0 && share < 100 };
}

// A key's value; empty where there is none, or the store does not answer.
async function read(key) {
    try {
        const value = await store.get(key);
        return value;
    } catch (error) {
        return '';
    }
}

// Whole percentages with the sum of 100, or null.
function parseWeights(text) {
    let weights;
    try {
        weights = JSON.parse(text);
    } catch (error) {
        return null;
    }
    if (weights === null || typeof weights !== 'object' || Object.keys(weights).length !== COLOURS.length) {
        return null;
    }
    const valid = COLOURS.every(function (colour) {
        return Number.isInteger(weights[colour]) && weights[colour] >= 0;
    });
    return valid && weights.blue + weights.green === 100 ? weights : null;
}

// While traffic is split, a viewer stays where it was sent first, for as long as the routes stay what they are.
function draw(active, other, share, generation, pin) {
    if (share === 0 || share === 100) {
        return share === 0 ? active : other;
    }
    if (pin && pin.value === generation + '-' + active) {
        return active;
    }
    if (pin && pin.value === generation + '-' + other) {
        return other;
    }
    return Math.random() * 100 < share ? other : active;
}
