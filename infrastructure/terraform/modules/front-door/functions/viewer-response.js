// Tells the viewer which colour answered, under which generation of the routes: the deployer waits until it sees its own.
// CloudFront does not run this for answers of 400 and more, so these carry neither header.

function handler(event) {
    const sent = event.request.headers;
    const response = event.response;

    // A request that the other function did not answer for has none of them; its viewer still gets the answer.
    ['x-bg-color', 'x-bg-generation'].forEach(function (name) {
        if (sent[name]) {
            response.headers[name] = { value: sent[name].value };
        }
    });
    if (sent['x-bg-pin']) {
        response.cookies['bg_track'] = {
            value: sent['x-bg-pin'].value,
            attributes: 'Path=/; Secure; HttpOnly; SameSite=Lax'
        };
    }
    return response;
}
