#!/usr/bin/perl

# Providers of Dubbo 3.3 that register as instances of an application alone:
# nginx asks them what they offer.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Interop::Fleet;
use Mesh::Port qw(free_port);

Interop::Fleet::life('33', '27', 'consul',
    mesh => "service $Interop::Fleet::ECHO { provided_by mesh-kit-provider; }",
    define => sub {
        return (
            'dubbo.application.register-mode' => 'instance',
            'dubbo.application.metadata-service-port' => free_port(),
            # 127.0.0.1, as Dubbo takes it
            DUBBO_IP_TO_BIND => '2130706433',
        );
    });
